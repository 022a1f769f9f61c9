"""A whole house for the API's tests: a loopback exchange, a bot that trades there, and `trader api` beside it, all real processes."""

import asyncio
import http.client
import json
import secrets
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.services.parts import free_port, seen_when, wait_for

ROOT = Path(__file__).parents[2]
SCOPES = ("read", "signal", "control", "config")
CANARY = "canary-7f3a-never-to-be-seen"
CONFIG = """\
version: 1
name: house
venue: gate
live: true
capital: 5000
assets: [BTC/USDT, ETH/USDT]
timeframe: 1m
strategy: {{name: RatingBand, parameters: {{exits: [{{fall_by: 20%}}]}}}}
limits: {{weight_per_asset: 60%, drawdown: 50%}}
account: {{url: "http://127.0.0.1:{venue}", key: loopback-key, secret: loopback-secret}}
state: state
api:
  port: {port}
  requests: 5000
  commands: 1000
  tokens:
    all: {{scopes: [read, signal, control, config], file: all.token}}
    read: {{scopes: [read], file: read.token}}
    signal: {{scopes: [signal], file: signal.token}}
    control: {{scopes: [control], file: control.token}}
    config: {{scopes: [config], file: config.token}}
    gone: {{scopes: [read, signal, control, config], file: gone.token, expires: 2020-01-01}}
  hooks:
    signed: {{secret_file: hook.secret}}
    typed: {{secret_file: hook.secret, proof: body}}
    far: {{secret_file: hook.secret, proof: body, addresses: [192.0.2.0/24]}}
"""
BACKTEST = """\
version: 1
data: {sample: 1d}
strategy: {name: RatingBand, parameters: {kind: derived_trader, enter: 70, leave: 50}}
cash: 10000
"""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class WholeHouse:
    """The processes and where they are."""

    folder: Path
    venue_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    processes: dict = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def prepare(self):
        (self.folder / "run.yaml").write_text(CONFIG.format(venue=self.venue_port, port=self.port), encoding="utf-8")
        (self.folder / "backtest.yaml").write_text(BACKTEST, encoding="utf-8")
        for name in (*SCOPES, "all", "gone"):
            (self.folder / f"{name}.token").write_text(secrets.token_hex(24) + "\n", encoding="utf-8")
        (self.folder / "hook.secret").write_text(f"{CANARY}-hook\n", encoding="utf-8")
        return self

    def start(self, *names, waits=True):
        for name in names:
            log = self.stack.enter_context((self.folder / f"{name}.log").open("a"))
            words = {
                "venue": ["loopback", "gate", "--port", str(self.venue_port), "--state", str(self.folder / "venue.json")],
                "bot": ["run", str(self.config), "--live", "--log", "debug"],
                "api": ["api", str(self.config)],
            }[name]  # fmt: skip
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "trader.cli", *words], stdout=log, stderr=log, cwd=ROOT
            )
            if name == "venue":
                wait_for(self.venue_port, 60)
            elif name == "bot" and waits:
                self.until(lambda: '"state": "active"' in self.log("bot"), 90)
            elif name == "api":
                wait_for(self.port, 60)
        return self

    @property
    def config(self):
        return self.folder / "run.yaml"

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def token(self, name="all"):
        return (self.folder / f"{name}.token").read_text(encoding="utf-8").strip()

    @property
    def hook_secret(self):
        return (self.folder / "hook.secret").read_text(encoding="utf-8").strip()

    def ask(self, method, path, body=None, *, token="all", headers=None, seconds=20, reads=True):
        """One request over a socket of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = (
                f"Bearer {self.token(token) if (self.folder / f'{token}.token').exists() else token}"
            )
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, sent)
            found = connection.getresponse()
            return Answer(
                found.status,
                {name.lower(): value for name, value in found.getheaders()},
                found.read() if reads else b"",
            )
        finally:
            connection.close()

    def get(self, path, **how):
        found = self.ask("GET", path, **how)
        assert found.status == 200, found.body
        return found.json

    def rate(self, values, *, source="me", kind="trader_grade", id_=None, **how):
        """A message of ratings."""
        message = {
            "version": 1, "source": source, "type": "rating", "issued_at": datetime.now(UTC).isoformat(),
            "signals": [{"asset": asset, "kind": kind, "value": value} for asset, value in values.items()],
        } | ({} if id_ is None else {"id": id_})  # fmt: skip
        return self.ask("POST", "/v1/signals", message, **how)

    def command(self, name, *, key=None, confirm=None, **how):
        key = key or f"{name}-{secrets.token_hex(6)}"
        body = {} if confirm is None else {"confirm": confirm}
        return self.ask("POST", f"/v1/commands/{name}", body, headers={"Idempotency-Key": key}, **how)

    def until(self, is_so, seconds=90.0):
        return seen_when(
            is_so, lambda: "\n".join(path.read_text()[-2_000:] for path in self.folder.glob("*.log")), seconds
        )

    def state(self):
        return self.get("/v1/status").get("state")

    def active(self):
        """Bring it back to trading."""
        if self.state() != "active":
            assert self.command("resume", confirm="resume house").status == 200
            self.until(lambda: self.state() == "active")

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.stack.close()


async def call(application, method, path, *, headers=None, body=b"", address="10.1.2.3", chunks=None):
    """One request to an ASGI application, without a server: (status, headers, body)."""
    sent, parts = [], list(chunks or [body])
    raw, _, query = path.partition("?")
    given = {"host": "localhost", **(headers or {})}

    async def receive():
        if parts:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": raw,
        "raw_path": raw.encode(), "query_string": query.encode(), "root_path": "", "client": (address, 1234), "server": ("localhost", 80),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    await application(scope, receive, send)
    start = next(one for one in sent if one["type"] == "http.response.start")
    found = b"".join(one.get("body", b"") for one in sent if one["type"] == "http.response.body")
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, found
