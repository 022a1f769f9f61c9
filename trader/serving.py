"""Puts the control API to work: from a run's configuration to what the API stands on, and a server around it."""

import asyncio
import json
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import uvicorn

from strategies.loading import load as load_strategy
from trader import __version__
from trader.adapters.clock import SystemClock
from trader.adapters.fact_codec import CodecError
from trader.adapters.foreign import KIND, NAMES, Foreign
from trader.adapters.journal_pages import EPOCH, MICROSECOND, JournalPages
from trader.adapters.payloads import Payloads, parts_of_schema, signed
from trader.api.acting import Hook
from trader.api.app import Rules, application, openapi
from trader.api.guard import Application
from trader.api.house import (
    DarkError,
    FillSeen,
    HoldingSeen,
    House,
    MountSeen,
    OrderSeen,
    Receipt,
    Shown,
    SignalSeen,
    Step,
    Told,
    UnreadableError,
    Worth,
)
from trader.api.tokens import Token
from trader.api_settings import SCOPES, ApiChoice
from trader.bundled import listed
from trader.core.instants import SECOND, duration
from trader.intake import keys_of
from trader.origins import effective
from trader.ports import JournalDownError
from trader.run_settings import Run, secret_of, state_folder
from trader.runtime.control import Command, NoDaemonError, ask, socket_of
from trader.runtime.logs import Log, set_up
from trader.runtime.stories import explain
from trader.setting_values import near
from trader.settings import SettingsError
from trader.several_settings import Setup, load_setup

ASK_SECONDS = 10.0
STOP_SECONDS = 3
SAID_MOST = 4
SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class Served:
    """What is served: the application, the token that was made for this time, if one was, and what is never to be logged."""

    application: Application
    token: str | None
    choice: ApiChoice
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Pages:
    """The journal as the API shows it, of one mount or of several."""

    def __init__(self, journal: JournalPages, *, is_several: bool = False) -> None:
        self._journal, self._is_several = journal, is_several

    async def _read(self, work: Any) -> Any:  # noqa: ANN401 - whatever is awaited
        try:
            return await work
        except JournalDownError as error:
            raise UnreadableError(str(error)) from error
        except CodecError as error:
            raise UnreadableError(str(error), "start `trader api` anew, as the version that the bot is") from error

    async def last(self) -> int:
        """The newest place."""
        found: int = await self._read(self._journal.last())
        return found

    async def facts(self, after: int, most: int) -> Sequence[Told]:
        """Facts behind a place, oldest first."""
        return [Told(one.seq, one.fact) for one in await self._read(self._journal.facts(after, most))]

    async def of_kind(self, kind: str, asset: str, most: int) -> Sequence[Told]:
        """The newest facts of a kind that name an asset, oldest first."""
        return [Told(one.seq, one.fact) for one in await self._read(self._journal.of_kind(kind, asset, most))]

    async def signals(self, before: int | None, most: int, outcome: str | None) -> Sequence[SignalSeen]:
        """Messages, newest first."""
        rows = await self._read(self._journal.signals(before, most, outcome))
        return [
            SignalSeen(seq, one.at, one.key, one.source, ended, one.why, said_by(one.payload))
            for seq, one, ended in rows
        ]

    async def story(self, key: str) -> Sequence[Step]:
        """What became of a message."""
        return [Step(one.at, one.what, one.text) for one in explain(await self._read(self._journal.around(key)), key)]

    async def orders(self, before: int | None, most: int, *, is_working: bool, mount: str = "") -> Sequence[OrderSeen]:
        """Orders, newest first."""
        work = self._journal.orders(before, most, is_working=is_working, mount=mount, is_several=self._is_several)
        return [OrderSeen(*row) for row in await self._read(work)]

    def place_of(self, order: OrderSeen, mount: str) -> int:
        """The `before` of the part that follows an order: of several mounts, of which each numbers its own, its instant."""
        return (order.at - EPOCH) // MICROSECOND if self._is_several and not mount else order.number

    async def fills(self, before: int | None, most: int, mount: str = "") -> Sequence[FillSeen]:
        """Fills, newest first."""
        return [FillSeen(*row) for row in await self._read(self._journal.fills(before, most, mount))]

    async def holdings(self, mount: str = "") -> Sequence[HoldingSeen]:
        """What is held."""
        return [HoldingSeen(*row) for row in await self._read(self._journal.holdings(mount))]

    async def worth(self, since: datetime | None, most: int, mount: str = "") -> Sequence[Worth]:
        """The curve, oldest first."""
        return [Worth(*row) for row in await self._read(self._journal.worth(since, most, mount))]

    async def close(self) -> None:
        """Let go."""
        await self._journal.close()


def said_by(payload: str) -> str:
    """What a message says in short; empty where it cannot be read."""
    try:
        found = json.loads(payload)
        found = json.loads(found["payload"]) if "payload" in found else found
        said = [f"{one['asset']} {one['kind']} {one['value']:g}" for one in found["signals"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    return ", ".join(said[:SAID_MOST]) + (f" and {len(said) - SAID_MOST} more" if len(said) > SAID_MOST else "")


def house_of(settings: Run, path: Path) -> House:
    """What the API of a run stands on."""
    folder = state_folder(settings, path)
    socket, keys = socket_of(folder), keys_of(settings, path.parent)
    payloads, mounts = Payloads(keys), mounts_of(load_setup(path))

    async def asked(command: str, argument: str, key: str, mount: str) -> dict[str, object]:
        try:
            return await ask(socket, Command(command, argument, key, mount), seconds=ASK_SECONDS)
        except NoDaemonError as error:
            raise DarkError("nobody answers at its socket") from error

    def hooked(body: bytes, format_: str | None, secret: str, at: datetime) -> Receipt:
        return _signed(_translated(body, format_, secret, settings, at), keys)

    return House(
        settings.name, __version__, settings.timeframe, settings.assets, asked,
        Pages(JournalPages(settings.journal or folder / "journal.db"), is_several=len(mounts) > 1),
        lambda: [Shown(one.key, one.value, one.origin) for one in effective(path)], listed, hooked, payloads.read, parts_of_schema(),
        folder / "jobs", mounts, path.parent,
    )  # fmt: skip


def mounts_of(setup: Setup) -> tuple[MountSeen, ...]:
    """The mounts of a configuration as the API shows them."""
    rows = [(one.settings, one.settings.account.name) for one in setup.mounts]
    return tuple(
        MountSeen(
            one.name, account, one.venue, one.strategy.name, one.capital, one.assets, one.timeframe, f"{account}/{one.timeframe}"
        )
        for one, account in rows
    )  # fmt: skip


def _translated(body: bytes, format_: str | None, secret: str, settings: Run, at: datetime) -> Receipt:
    """A webhook's body as our message, without the secret in it."""
    found = Foreign(kind_of_signals(settings)).read(
        body,
        format=format_,
        secrets={"the webhook's": secret} if secret else {},
        universe=settings.assets,
        received_at=at,
    )
    return Receipt(found.message, found.format, found.notes)


def kind_of_signals(settings: Run) -> str:
    """What buys and sells of other services become: the first kind of signals that the strategy reads, else a trading signal."""
    strategy = load_strategy(settings.strategy.name, settings.strategy.parameters)
    return next(iter(strategy.wants.signals), KIND)


def _signed(receipt: Receipt, keys: dict[str, str]) -> Receipt:
    """A webhook proved itself its own way; where messages must be signed, it is we who sign for it."""
    if not keys:
        return receipt
    key_id = next(iter(keys))
    return Receipt(signed(receipt.message, key_id, keys[key_id]), receipt.format, receipt.notes)


def _hook_secret(name: str, file: Path) -> str:
    """The secret of a webhook; an empty one would let anybody in, whichever way it is proven."""
    secret = secret_of(None, file, file.parent, f"api.hooks.{name}.secret_file")
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(
            f"api.hooks.{name}.secret_file: {file}: {len(secret)} characters; at least {SHORTEST_SECRET} are needed: openssl rand -hex 32"
        )
    return secret


def served(settings: Run, path: Path) -> Served:
    """The API of a run, put together; raises SettingsError where a token or a secret is no good."""
    choice, home = settings.api, path.parent
    tokens, texts, made = list[Token](), list[str](), None
    for name, one in choice.tokens.items():
        text = secret_of(None, one.file, home, f"api.tokens.{name}.file")
        texts.append(text)
        try:
            tokens.append(Token.of(name, text, one.scopes, one.expires))
        except ValueError as error:
            raise SettingsError(f"api.tokens.{name}.file: {home / one.file}: {error}") from error
    if not tokens:
        made = secrets.token_urlsafe(32)
        texts.append(made)
        tokens.append(Token.of("printed at the start", made, SCOPES))
    hooks = {
        name: Hook(
            _hook_secret(name, home / one.secret_file), one.proof, one.format, one.addresses, duration(one.window) / SECOND
        )
        for name, one in choice.hooks.items()
    }  # fmt: skip
    for name, hook in choice.hooks.items():
        if hook.format is not None and hook.format not in NAMES:
            raise SettingsError(
                f"api.hooks.{name}.format = {hook.format!r}: {near(hook.format, NAMES)}allowed are {', '.join(NAMES)}"
            )
    names = (*choice.names, choice.host)
    rules = Rules(
        tokens, hooks, names, choice.requests, choice.commands, choice.proxies, is_secure=choice.certificate is not None
    )
    clock = SystemClock()
    made_of = application(
        house_of(settings, path), rules, now=clock.now, monotonic=clock.monotonic, failed=Log().failed
    )
    texts += [*(one.secret for one in hooks.values()), *keys_of(settings, home).values()]
    if settings.journal is not None and (password := urlsplit(settings.journal).password):
        texts += [password, unquote(password)]
    return Served(made_of, made, choice, tuple(texts))


def document_of(settings: Run, path: Path) -> dict[str, Any]:
    """The OpenAPI document."""
    return openapi(house_of(settings, path))


async def serve(found: Served, home: Path, *, told: Callable[[str, str | None], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; told: called with the address once it listens, and the token that was made."""
    set_up(found.secrets)
    choice = found.choice
    tls: dict[str, Any] = {}
    if choice.certificate is not None and choice.certificate_key is not None:
        tls = {"ssl_certfile": str(home / choice.certificate), "ssl_keyfile": str(home / choice.certificate_key)}
    server = uvicorn.Server(
        uvicorn.Config(
            found.application, host=choice.host, port=choice.port, loop="asyncio", http="h11", ws="none", log_config=None,
            access_log=False, server_header=False, date_header=False, lifespan="on", timeout_graceful_shutdown=STOP_SECONDS,
            limit_concurrency=1_000, timeout_keep_alive=30, h11_max_incomplete_event_size=65_536, proxy_headers=False, **tls,
        )
    )  # fmt: skip
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # it would raise them a second time
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, lambda: setattr(server, "should_exit", True))
    work = asyncio.create_task(server.serve())
    while not server.started and not work.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.02)
    if server.started:
        scheme = "https" if tls else "http"
        told(f"{scheme}://{'[' + choice.host + ']' if ':' in choice.host else choice.host}:{choice.port}/", found.token)
    await work
    if not server.started:
        sys.exit(3)
