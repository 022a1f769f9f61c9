"""`trader notify`: reads the journal and asks the daemon, tells people, and takes their commands. The trading loop never waits for it.

It opens the journal read only and speaks to the daemon through its socket alone, so that killing it changes no trade.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from trader.adapters.clock import SystemClock
from trader.adapters.discord import Discord, number_at
from trader.adapters.http import HttpTransport, NoAnswerError
from trader.adapters.journal_pages import JournalPages
from trader.adapters.lock import FolderLock
from trader.adapters.telegram import Telegram
from trader.adapters.venue_codes import DEAD_KEY
from trader.core.instants import duration
from trader.notify.alarms import Patience, Watch
from trader.notify.commands import FRESH, Guard
from trader.notify.event import INFO
from trader.notify.news import Teller
from trader.notify.office import Office, Quiet, Rules
from trader.notify_commands import Facts, Listener, Operator
from trader.notify_loop import ASK_SECONDS, SEND_SECONDS, Notifier, Pulse, Room, Target
from trader.notify_place import Place
from trader.notify_settings import BotChoice, DiscordChoice, NotifyChoice, clock
from trader.run_settings import Run, secret_of, state_folder
from trader.runtime.control import socket_of
from trader.runtime.logs import Log, set_up
from trader.runtime.supervise import supervise

LEAST_PIECE = 12  # characters of a part of an address that is masked by itself


def span(text: str) -> timedelta:
    """A duration of the settings."""
    return timedelta(microseconds=duration(text) / 1_000)


def rules_of(choice: NotifyChoice) -> Rules:
    """How letters are made, by the settings."""
    quiet = choice.quiet
    return Rules(
        {name: one.level for name, one in choice.targets.items()}, gather=span(choice.gather), repeat=span(choice.repeat),
        limit=choice.limit, calm=span(choice.calm),
        quiet=None if quiet is None else Quiet(clock(quiet["from"]), clock(quiet["until"]), ZoneInfo(quiet["zone"])),
    )  # fmt: skip


def patience_of(choice: NotifyChoice, venue: str) -> Patience:
    """When what is an alarm, by the settings."""
    one, dead = choice.alarms, DEAD_KEY.get(venue, frozenset[str]())
    return Patience(span(one.silence), span(one.unknown), span(one.link), span(one.state), one.drawdown, dead)


def addresses(choice: NotifyChoice, home: Path) -> dict[str, str]:
    """The address of each target; raises SettingsError."""
    return {
        name: secret_of(one.url, one.url_file, home, f"notify.targets.{name}") for name, one in choice.targets.items()
    }


def secrets_of(settings: Run, choice: NotifyChoice, home: Path) -> list[str]:
    """Every secret of this process, and the longer pieces of its addresses; the keys of the exchange are not among them."""
    found = list(addresses(choice, home).values())
    beat = choice.heartbeat
    if beat is not None:
        found.append(secret_of(beat.url, beat.url_file, home, "notify.heartbeat"))
    for name, bot in choice.bots.items():
        found += [_token(bot, home, name), _totp(bot, home, name)]
    if settings.journal is not None and (password := urlsplit(settings.journal).password):
        found += [password, unquote(password)]
    pieces = {piece for one in found for piece in one.replace("?", "/").replace("&", "/").replace("@", "/").split("/")}
    return [*found, *sorted(piece for piece in pieces if len(piece) >= LEAST_PIECE)]


def facts_of(settings: Run, folder: Path) -> Facts:
    """The journal of a run, read only."""
    return JournalPages(settings.journal or folder / "journal.db", may_begin=True)


def pulse_of(choice: NotifyChoice, home: Path, transport: HttpTransport) -> Pulse | None:
    """The dead man's switch outside; its address is in no error, for it names the switch."""
    if choice.heartbeat is None:
        return None
    url = secret_of(choice.heartbeat.url, choice.heartbeat.url_file, home, "notify.heartbeat")

    async def beat() -> bool:
        try:
            return (await transport.call("GET", url, {}, None, seconds=ASK_SECONDS)).status < 300
        except NoAnswerError:
            return False

    return Pulse(beat, span(choice.heartbeat.every).total_seconds())


def _token(bot: BotChoice, home: Path, name: str) -> str:
    return secret_of(bot.token, bot.token_file, home, f"notify.{name}.token")


def _totp(bot: BotChoice, home: Path, name: str) -> str:
    return secret_of(bot.totp, bot.totp_file, home, f"notify.{name}.totp")


def guarded(choice: NotifyChoice, home: Path) -> dict[str, Guard]:
    """The guard of each service's commands, by the settings; without a bot one that knows nobody. Raises SettingsError and ValueError.

    Where two have the same secret, a code that counted at one is spent at the other.
    """
    found = {name: Guard((), lambda _code, _counter: False, "") for name in ("telegram", "discord")}
    if not choice.bots:
        return found
    from trader.adapters.one_time import OneTime  # noqa: PLC0415 - pyotp is an extra

    codes: dict[str, OneTime] = {}
    for name, bot in choice.bots.items():
        try:
            codes[name] = OneTime(_totp(bot, home, name))
        except ValueError as error:
            raise ValueError(f"notify.{name}.totp: {error}") from None
        who = bot.channel if isinstance(bot, DiscordChoice) else _token(bot, home, name).partition(":")[0]
        sign = "!" if isinstance(bot, DiscordChoice) else "/"  # a client of Discord keeps `/` for itself
        found[name] = Guard(frozenset(bot.users), codes[name].matches, f"{name}-{who}", bot.halt_needs_code, sign)
    if len(codes) == len(found) and codes["telegram"].is_same(codes["discord"]):
        found["telegram"].peers, found["discord"].peers = [found["discord"]], [found["telegram"]]
    return found


def listen_through(made: Notifier, choice: NotifyChoice, home: Path, transport: HttpTransport) -> None:
    """Let commands come in, through the bots of the settings; raises SettingsError."""
    if (bot := choice.telegram) is not None:
        telegram = Telegram(_token(bot, home, "telegram"), transport, bot.api)
        operator = Operator(made.socket, made.facts)
        made.listeners.append(
            Listener(telegram, made.guard, operator, made.clock, made.log, made.keep, made.tell, made.heard)
        )
    if (other := choice.discord) is not None:
        discord = Discord(_token(other, home, "discord"), other.channel, transport, made.clock, other.api)
        guard, operator = made.room.guard, Operator(made.socket, made.facts, made.room.guard.sign)
        # the first start hears what is fresh: a channel may hold years
        heard = made.room.heard or number_at((made.clock.now() - FRESH).timestamp())
        made.listeners.append(
            Listener(discord, guard, operator, made.clock, made.log, made.keep_room, made.tell, heard)
        )


def notifier(
    settings: Run, choice: NotifyChoice, path: Path, senders: Mapping[str, Target], *,
    undelivered: tuple[type[Exception], ...], place: Place, log: Log, transport: HttpTransport | None,
) -> Notifier:  # fmt: skip
    """Put it together; without a transport nothing is pinged; commands come in by `listen_through`."""
    folder, home, now = state_folder(settings, path), path.parent, SystemClock()
    teller = Teller(DEAD_KEY.get(settings.venue, frozenset()))
    guards = guarded(choice, home)
    made = Notifier(
        facts_of(settings, folder), socket_of(folder), senders, undelivered, Office(rules_of(choice)),
        Watch(patience_of(choice, settings.venue)), teller, guards["telegram"], place, now, log, room=Room(guards["discord"]),
    )  # fmt: skip
    if transport is not None:
        made.pulse = pulse_of(choice, home, transport)
    return made


def run(settings: Run, choice: NotifyChoice, path: Path) -> None:
    """Notify until told to end; raises SettingsError, ValueError, AlreadyRunningError and PlaceError."""
    from trader.adapters.apprise_sender import AppriseSender, NotDeliveredError, hush  # noqa: PLC0415 - an extra

    set_up(secrets_of(settings, choice, path.parent))
    hush()
    log, folder = Log(), state_folder(settings, path) / "notify"
    senders = {name: AppriseSender(name, one) for name, one in addresses(choice, path.parent).items()}
    lock = FolderLock(folder)
    lock.take()

    async def once(stopping: asyncio.Event) -> None:
        transport = HttpTransport()
        made = notifier(
            settings, choice, path, senders, undelivered=(NotDeliveredError,), place=Place(folder / "place.json"), log=log,
            transport=transport,
        )  # fmt: skip
        made.stopping = stopping
        try:
            await made.begin()
            listen_through(made, choice, path.parent, transport)
            await made.run()
        finally:
            await transport.close()

    try:
        asyncio.run(_until_stopped(once, log))
    finally:
        lock.release()


async def _until_stopped(once: Callable[[asyncio.Event], Awaitable[None]], log: Log) -> None:
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    await supervise(lambda: once(stopping), SystemClock(), log, stopping=stopping)


async def tested(choice: NotifyChoice, home: Path, name: str) -> dict[str, str]:
    """Send one letter to every target, at once; each target's trouble, empty where it was taken."""
    from trader.adapters.apprise_sender import AppriseSender, NotDeliveredError, hush  # noqa: PLC0415 - an extra

    hush()
    senders = {target: AppriseSender(target, one) for target, one in addresses(choice, home).items()}

    async def send(target: str) -> str:
        try:
            await senders[target].send("test", f"trader notify --test of {name}", INFO, seconds=SEND_SECONDS)
        except NotDeliveredError as error:
            return str(error)
        return ""

    return dict(zip(senders, await asyncio.gather(*map(send, senders)), strict=True))


class Printer:
    """A target that only prints what would go there."""

    def __init__(self, name: str, tell: Callable[[str], None]) -> None:
        self._name, self._tell = name, tell

    async def send(self, title: str, text: str, level: str, *, seconds: float) -> None:
        """Print a letter."""
        del seconds
        self._tell("\n".join([f"to {self._name} ({level}): {title}", *(f"  {line}" for line in text.splitlines())]))


async def shown(
    settings: Run, choice: NotifyChoice, path: Path, after: int | None, tell: Callable[[str], None]
) -> None:
    """Print what would be sent, for ever: nothing is sent, pinged, taken or written down."""
    senders = {name: Printer(name, tell) for name in choice.targets}
    made = notifier(settings, choice, path, senders, undelivered=(), place=Place(None), log=Log(), transport=None)
    await made.begin(after)
    await made.run()
