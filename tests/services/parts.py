"""Real brokers and databases of our own, on free ports, that may be killed and started again.

Where a program is missing a test skips and says so; where SERVICES=required is set, as in CI, it fails.
"""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

full = pytest.mark.full  # a long proof, skipped without MATRIX=full (tests/conftest.py)


def program(*names):
    """The first of these programs that is there, else the test skips or fails."""
    folders = [
        *os.environ["PATH"].split(":"),
        "/usr/sbin",
        "/usr/local/sbin",
        *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
    ]
    for name in names:
        found = shutil.which(name, path=":".join(folders))
        if found:
            return found
    return lacking(" or ".join(names))


def library(name):
    """Require a library that `make e2e` brings, else the test skips or fails."""
    if importlib.util.find_spec(name) is None:
        lacking(f"{name} (make e2e)")


def lacking(what):
    missing = f"{what} is not installed"
    if os.environ.get("SERVICES") == "required":
        pytest.fail(f"{missing}, and SERVICES=required")
    pytest.skip(missing)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def seen_when(is_so, log=lambda: "", seconds=90.0):
    """What is true of another process, once it is: looked at with pauses, since a look may cost as much as what is waited for. AssertionError with the log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        if found := is_so():
            return found
        time.sleep(max(0.1, min(1.0, time.monotonic() - begin)))
    raise AssertionError(f"it did not come about in {seconds:.0f} s\n{log()[-4_000:]}")


def wait_for(port, seconds=60.0, alive=lambda: True):
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive():
        with socket.socket() as one:
            one.settimeout(0.2)
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


async def until(is_so, seconds=60.0):
    """Wait until something is so; TimeoutError if it does not come about."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 - what is waited for lies in other processes
            await asyncio.sleep(0.05)


@dataclass
class Mosquitto:
    """A broker with persistence in `folder`."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None
    more: str = ""  # lines of its configuration

    def start(self):
        binary = program("mosquitto")
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "mosquitto.conf"
        user = "user root\n" if os.getuid() == 0 else ""
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\nautosave_interval 1\nautosave_on_changes true\n"
            f"max_queued_messages 100000\npersistence_location {self.folder}/\n{user}{self.more}"
        )
        self.process = subprocess.Popen(
            [binary, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self.port)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """End it in order, so that it writes what it holds."""
        self.process.terminate()
        self.process.wait()


@dataclass
class Postgres:
    """A database server of its own in `folder`, trusting whoever is on this machine.

    The folder is not below pytest's: another session that begins there shuts it for the server's user.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="trader-pg-")) / "data")
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    @property
    def url(self):
        return f"postgresql://trader@127.0.0.1:{self.port}/postgres"

    def _user(self):
        return "postgres" if os.getuid() == 0 else None

    def start(self):
        initdb, server = program("initdb"), program("postgres")
        if not (self.folder / "PG_VERSION").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._user():
                os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
                for parent in self.folder.parents:
                    if parent.stat().st_uid == os.getuid() and len(parent.parts) > 2:
                        parent.chmod(0o755)
            subprocess.run(
                [initdb, "-D", str(self.folder), "-U", "trader", "-A", "trust", "-N", "-E", "UTF8"], check=True, cwd="/",
                stdout=subprocess.DEVNULL, user=self._user(),
            )  # fmt: skip
        for _ in range(20):  # what a killed server left in memory may need a moment to go
            self.process = subprocess.Popen(
                [server, "-D", str(self.folder), "-p", str(self.port), "-h", "127.0.0.1", "-k", ""], cwd="/",
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=self._user(),
            )  # fmt: skip
            with suppress(TimeoutError):
                wait_for(self.port, alive=lambda: self.process.poll() is None)
                self._wait_ready()
                return self
            if self.process.poll() is None:
                break
            time.sleep(0.3)
        raise TimeoutError(f"PostgreSQL does not start in {self.folder}")

    def _wait_ready(self, seconds=60.0):
        """It listens before it lets anybody in."""
        asked = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        end = time.monotonic() + seconds
        while subprocess.run(asked, check=False).returncode:
            if time.monotonic() > end:
                raise TimeoutError(f"PostgreSQL lets nobody in on port {self.port}")
            time.sleep(0.05)

    def kill(self):
        """kill -9 of the server and all its children."""
        asked = ["pgrep", "-P", str(self.process.pid)]
        children = subprocess.run(asked, check=False, capture_output=True, text=True).stdout.split()
        for pid in (self.process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        shutil.rmtree(self.folder.parent, ignore_errors=True)
