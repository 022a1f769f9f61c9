"""Jobs in the background: backtests, sweeps, validations and audits of the YAML files beside the run's, one after the other.

Each is a process of its own, so that neither the API nor the bot waits for it. What it leaves is in a folder of the job.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from trader.api.door import GUARDED, Refusal, needs, problems

Kind = Literal["backtest", "sweep", "validate", "audit"]
WAITING_MOST, KEPT_MOST = 20, 100
TAIL = 4_000  # characters of what a job printed
STOP_SECONDS = 5.0
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)
Id = Annotated[str, InPath(pattern=r"^[0-9a-f]{16}$")]


class Wanted(BaseModel, extra="forbid"):
    """What to do."""

    kind: Kind
    config: str = Field(
        pattern=r"^[\w.-]+(/[\w.-]+)?\.ya?ml$", max_length=200, description="a YAML file in the folder of the run's"
    )


class Job(BaseModel):
    """A job and how far it is."""

    id: str
    kind: Kind
    config: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    share: float | None = Field(None, description="how much of it is done, 0 to 1, where that is known")
    asked_at: datetime
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    said: str = Field("", description="the end of what it printed")
    has_report: bool = False


@dataclass(slots=True)
class _Entry:
    job: Job
    path: Path
    process: asyncio.subprocess.Process | None = None
    task: "asyncio.Task[None] | None" = None
    is_cancelled: bool = False


@dataclass(slots=True)
class Jobs:
    """All jobs of this process. configs: folder of the files that may be run; folder: for what they leave."""

    configs: Path
    folder: Path
    now: Callable[[], datetime]
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    entries: dict[str, _Entry] = field(default_factory=dict)

    def ask(self, wanted: Wanted) -> Job:
        """Put a job in line; raises Refusal."""
        path = (self.configs / wanted.config).resolve()
        if not path.is_relative_to(self.configs.resolve()) or not path.is_file():
            raise Refusal(404, f"{wanted.config}: no such file", "name a YAML file in the folder of the run's")
        if sum(one.job.state == "waiting" for one in self.entries.values()) >= WAITING_MOST:
            raise Refusal(409, f"{WAITING_MOST} jobs wait already", "let some end, or cancel them")
        job = Job(id=secrets.token_hex(8), kind=wanted.kind, config=wanted.config, state="waiting", asked_at=self.now())
        entry = self.entries[job.id] = _Entry(job, path)
        entry.task = asyncio.create_task(self._do(entry))
        for old in [one for one in self.entries.values() if one.job.ended_at is not None][:-KEPT_MOST]:
            del self.entries[old.job.id]
        return job

    def find(self, id_: str) -> _Entry:
        """A job; raises Refusal."""
        if id_ not in self.entries:
            raise Refusal(404, "there is no such job", "GET /v1/jobs lists them")
        return self.entries[id_]

    def look(self, entry: _Entry) -> Job:
        """A job as it stands now."""
        if entry.job.state == "running":
            with contextlib.suppress(OSError, ValueError, TypeError):
                entry.job.share = float(json.loads(self._of(entry, "progress.json").read_text())["share"])
        return entry.job

    def report(self, entry: _Entry) -> Path:
        """Its report; raises Refusal."""
        if not entry.job.has_report:
            raise Refusal(404, "it has no report", "a job has one when it is done")
        return self._of(entry, "report.html")

    def cancel(self, entry: _Entry) -> Job:
        """End a job; what it has done so far stays (a sweep goes on from there)."""
        entry.is_cancelled = True
        if entry.process is not None and entry.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(entry.process.pid, signal.SIGTERM)
        elif entry.job.state == "waiting":
            entry.job.state, entry.job.ended_at = "cancelled", self.now()
        return entry.job

    async def close(self) -> None:
        """End all of them."""
        tasks = [entry.task for entry in self.entries.values() if entry.task is not None and not entry.task.done()]
        for entry in self.entries.values():
            if entry.job.ended_at is None:
                self.cancel(entry)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for entry in self.entries.values():
                if entry.process is not None and entry.process.returncode is None:
                    os.killpg(entry.process.pid, signal.SIGKILL)
            for task in late:
                task.cancel()

    def _of(self, entry: _Entry, name: str) -> Path:
        return self.folder / entry.job.id / name

    async def _do(self, entry: _Entry) -> None:
        job = entry.job
        async with self.turn:
            if job.state != "waiting":
                return
            report, progress = self._of(entry, "report.html"), self._of(entry, "progress.json")
            report.parent.mkdir(parents=True, exist_ok=True)
            command = ["--progress-file", str(progress), job.kind, str(entry.path), "--report", str(report)]
            entry.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "trader.cli", *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT, start_new_session=True, cwd=self.configs,
            )  # fmt: skip
            job.state, job.begun_at = "running", self.now()
            said = b""
            assert entry.process.stdout is not None
            while part := await entry.process.stdout.read(65_536):
                said = (said + part)[-4 * TAIL :]
            code = await entry.process.wait()
        job.said, job.ended_at = said.decode(errors="replace")[-TAIL:], self.now()
        job.state = "cancelled" if entry.is_cancelled else "done" if code == 0 else "failed"
        job.share, job.has_report = 1.0 if code == 0 else job.share, code == 0 and report.is_file()


router = APIRouter(
    prefix="/v1/jobs", dependencies=[Depends(needs("config"))], responses=problems(*GUARDED, 404)
)  # fmt: skip


async def jobs_of(request: Request) -> Jobs:
    """The jobs of this API."""
    jobs: Jobs = request.app.state.jobs
    return jobs


TheJobs = Annotated[Jobs, Depends(jobs_of)]


@router.post("", status_code=202, responses=problems(400, 409, 413, 422))
async def ask(wanted: Wanted, jobs: TheJobs) -> Job:
    """Begin a backtest, sweep, validation or audit in the background."""
    return jobs.ask(wanted)


@router.get("")
async def listed(jobs: TheJobs) -> list[Job]:
    """All jobs since this process began, the newest last."""
    return [jobs.look(entry) for entry in jobs.entries.values()]


@router.get("/files")
async def files(jobs: TheJobs) -> list[str]:
    """The YAML files that may be run."""
    found = [*jobs.configs.glob("*.yaml"), *jobs.configs.glob("*/*.yaml")]
    return sorted(str(one.relative_to(jobs.configs)) for one in found if one.is_file())


@router.get("/{id}")
async def one(id: Id, jobs: TheJobs) -> Job:  # noqa: A002 - the name in the address
    """One job and how far it is."""
    return jobs.look(jobs.find(id))


@router.delete("/{id}")
async def cancel(id: Id, jobs: TheJobs) -> Job:  # noqa: A002
    """Cancel a job."""
    return jobs.cancel(jobs.find(id))


@router.get(
    "/{id}/report", response_class=FileResponse,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "the page"}},
)  # fmt: skip
async def report(id: Id, jobs: TheJobs) -> FileResponse:  # noqa: A002
    """The page that a job made; it may do nothing but show itself."""
    path = jobs.report(jobs.find(id))
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY})
