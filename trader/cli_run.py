"""The commands around a running bot: run it, ask it, stop it, read what it wrote down. It decides nothing."""

import asyncio
import csv
import dataclasses
import json
import os
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from trader.output import NOT_READY, REFUSED, Failure, plain

if TYPE_CHECKING:
    from rich.table import Table

    from trader.core.facts import Fact
    from trader.core.view import Strategy
    from trader.run_settings import Run
    from trader.runtime.control import Command

CODES = "Exit codes: 0 done, 2 bad input, 3 not ready, 4 refused, 5 internal error."
T = TypeVar("T")

Config = Annotated[Path, typer.Argument(help="The YAML file of the run.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Key = Annotated[
    str, typer.Option("--key", help="A name for this command: given twice it is carried out once.", show_default=False)
]

signals = typer.Typer(no_args_is_help=True, help="Send a signal, for trying things out.")
journals = typer.Typer(no_args_is_help=True, help="Check or rebuild a journal, or print its facts.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=CODES)(run)
    app.command(epilog=CODES)(status)
    app.command(epilog=CODES)(halt)
    app.command(epilog=CODES)(resume)
    app.command(epilog=CODES)(flatten)
    app.command(epilog=CODES)(reconcile)
    app.command(epilog=CODES)(orders)
    app.command(epilog=CODES)(holdings)
    app.command(epilog=CODES)(fills)
    app.command(epilog=CODES)(explain)
    app.command("replay-journal", epilog=CODES)(replay_journal)
    app.add_typer(signals, name="signal")
    app.add_typer(journals, name="journal")
    app.command(epilog=CODES)(loopback)
    app.command(epilog=CODES)(demo)


# Running


def run(
    config: Config,
    live: Annotated[bool, typer.Option("--live", help="Real money; the file must say live: true as well.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Real signals and prices of the venue, orders on paper, nothing sent.")
    ] = False,
    log_level: Annotated[str, typer.Option("--log", help="debug, info, warning or error.")] = "info",
) -> None:
    """Run a bot until it is told to end (Ctrl-C or SIGTERM).

    Facts go to stderr, one JSON line each. It may be killed at any instant: the next start goes on where it was.

    \b
    Examples:
      trader run config/paper.yaml
      trader run config/live.yaml --shadow
      trader run config/live.yaml --live
    """
    from trader import app
    from trader.adapters.lock import AlreadyRunningError
    from trader.ports import LeaseLostError

    settings, strategy = _loaded(config)
    if shadow and live:
        raise Failure("--shadow sends nothing and --live sends real orders; give one of the two")
    if settings.venue != "paper" and not shadow and not (settings.live and live):
        missing = "the flag --live" if settings.live else f"live: true in {config}"
        raise Failure(f"{config}: venue: {settings.venue} is real money, which needs {missing}; or use --shadow")
    if live and not settings.live:
        raise Failure(f"{config}: --live needs live: true in the file as well")
    if log_level not in {"debug", "info", "warning", "error"}:
        raise Failure(f"--log {log_level!r}: allowed are debug, info, warning and error")
    try:
        app.run(settings, strategy, config, is_shadow=shadow, level=log_level)
    except AlreadyRunningError as error:
        raise Failure(f"{error}; stop it first, or give this run another name:", REFUSED) from error
    except LeaseLostError as error:
        raise Failure(str(error), REFUSED) from error
    except ValueError as error:
        raise Failure(f"{config}: {error}") from error


def status(config: Config, as_json: AsJson = False) -> None:
    """Ask a running bot what it does, what it holds, and how fresh what it knows is.

    \b
    Examples:
      trader status config/paper.yaml
      trader status config/paper.yaml --json | jq .state
    """
    from trader.runtime.control import Command

    found = _asked(config, Command("status"))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if name != "ok":
            shown = json.dumps(value) if isinstance(value, dict | list) else value
            print(f"{name.replace('_', ' '):24} {shown}")


def halt(config: Config, why: Annotated[str, typer.Option(help="Written down with it.")] = "", key: Key = "") -> None:
    """Open nothing more; exits and sales go on. It stays so over restarts, until `trader resume`.

    \b
    Example:
      trader halt config/paper.yaml --why "exchange maintenance"
    """
    _say(config, "halt", why, key)


def resume(config: Config, key: Key = "") -> None:
    """Trade again after a halt, a flatten, or a limit that stopped trading.

    \b
    Example:
      trader resume config/paper.yaml
    """
    _say(config, "resume", "", key)


def flatten(
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    key: Key = "",
) -> None:
    """Sell everything the bot holds and stay out: a goal that is pursued over outages and restarts until nothing is held.

    \b
    Example:
      trader flatten config/paper.yaml --yes
    """
    if not yes and not typer.confirm("sell everything this bot holds, and open nothing until `trader resume`?"):
        raise Failure("nothing was done", REFUSED)
    _say(config, "flatten", "", key)


def reconcile(
    config: Config,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take what the account holds now as right: a deposit, a sale by hand.")
    ] = False,
    key: Key = "",
) -> None:
    """Compare the account with the facts now, instead of within the next 30 seconds.

    \b
    Examples:
      trader reconcile config/live.yaml
      trader reconcile config/live.yaml --adopt
    """
    _say(config, "adopt" if adopt else "reconcile", "", key)


# Reading what was written down


def orders(config: Config, as_json: AsJson = False) -> None:
    """List every order, the newest last.

    \b
    Example:
      trader orders config/paper.yaml
    """
    from trader.runtime.stories import order_lines

    rows = order_lines(_facts(config))
    if as_json:
        print(json.dumps([plain(row) for row in rows], indent=2))
        return
    table = _table("order", "at", "asset", "side", "quantity", "filled", "state", "why")
    for row in rows:
        table.add_row(
            str(row.order), _short(row.at), row.asset, row.side, row.quantity, str(row.filled), row.state, row.why
        )
    _print(table)


def holdings(config: Config, as_json: AsJson = False) -> None:
    """List what the bot holds, from its own fills, with the average entry and the profit realised so far.

    \b
    Example:
      trader holdings config/paper.yaml
    """
    from trader.runtime.stories import statement

    _, held = statement(_facts(config))
    if as_json:
        print(json.dumps({asset: plain(one) for asset, one in held.items()}, indent=2))
        return
    table = _table("asset", "quantity", "entry", "realised")
    for asset, one in sorted(held.items()):
        table.add_row(asset, f"{one.quantity:f}", f"{one.entry:.8g}", f"{one.realised:,.2f}")
    _print(table)


def fills(
    config: Config,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for taxes and spreadsheets.")] = False,
) -> None:
    """List every fill with its value, fee and realised profit (average cost; fees in quote money taken off).

    \b
    Examples:
      trader fills config/paper.yaml
      trader fills config/paper.yaml --csv > fills.csv
    """
    from trader.runtime.stories import FillLine, statement

    lines, _ = statement(_facts(config))
    names = [one.name for one in dataclasses.fields(FillLine)]
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        for line in lines:
            writer.writerow([_cell(getattr(line, name)) for name in names])
        return
    table = _table("at", "asset", "side", "quantity", "price", "value", "fee", "realised", "why")
    for one in lines:
        table.add_row(
            _short(one.at), one.asset, one.side, f"{one.quantity:f}", f"{one.price:f}", f"{one.value:,.2f}",
            f"{one.fee:.8g} {one.fee_asset}", f"{one.realised:,.2f}", one.why,
        )  # fmt: skip
    _print(table)


def explain(
    config: Config,
    key: Annotated[str, typer.Argument(help="The key of a message, or a part of it.", show_default=False)],
) -> None:
    """Tell what became of a signal: received, decided, ordered, filled, and how it ended.

    \b
    Examples:
      trader explain config/paper.yaml tokenmetrics/4711
      trader explain config/paper.yaml derived_trader-20240312
    """
    from trader.runtime.stories import explain as told
    from trader.runtime.stories import keys_like, outcome_of

    facts = _facts(config)
    keys = keys_like(facts, key)
    if not keys:
        raise Failure(
            f"no signal has the key {key!r}; `trader journal facts {config} --kind SignalReceived` lists them"
        )
    if len(keys) > 1:
        shown = "\n".join(f"  {one}  ({outcome_of(facts, one)})" for one in keys[:20])
        raise Failure(f"{len(keys)} signals have {key!r} in their key; name one:\n{shown}")
    print(f"{keys[0]}: {outcome_of(facts, keys[0])}")
    for line in told(facts, keys[0]):
        print(f"  {line.at:%Y-%m-%d %H:%M:%S}  {line.what:9} {line.text}")


def replay_journal(config: Config, as_json: AsJson = False) -> None:
    """Tell a recorded session to a fresh engine with this configuration's strategy, and compare decision by decision.

    \b
    Example:
      trader replay-journal config/paper.yaml
    """
    from trader.app import rehearse

    _, strategy = _loaded(config)
    try:
        heard = rehearse(_facts(config), strategy)
    except ValueError as error:
        raise Failure(str(error), NOT_READY) from error
    if as_json:
        print(json.dumps(plain(heard), indent=2, default=str))
    else:
        print(f"{heard.same} of {heard.decisions} decisions are the same")
        for note in heard.notes:
            print(f"the record was made by another strategy: {note}")
        for one in heard.differences:
            print(f"  {one.reason}: recorded {one.recorded}\n        now      {one.now}")
    if heard.differences:
        raise typer.Exit(REFUSED)


@journals.command(epilog=CODES)
def verify(config: Config) -> None:
    """Walk the chain of hashes from the first fact to the last.

    \b
    Example:
      trader journal verify config/paper.yaml
    """
    broken, count = _run(_verified(config))
    if broken is not None:
        raise Failure(f"row {broken.seq}: {broken.why}", REFUSED)
    print(f"{count} facts, and each follows from the one before")


@journals.command(epilog=CODES)
def rebuild(config: Config) -> None:
    """Make the tables that are derived from facts (orders, fills, outcomes) anew. The bot must not be running.

    \b
    Example:
      trader journal rebuild config/paper.yaml
    """
    print(f"rebuilt from {_run(_rebuilt(config))} facts")


@journals.command("facts", epilog=CODES)
def facts_(
    config: Config,
    kind: Annotated[str, typer.Option(help="Only facts of this kind, such as Filled.", show_default=False)] = "",
    last: Annotated[int, typer.Option(help="Only the last so many; 0 = all.")] = 0,
) -> None:
    """Print facts, one JSON object per line.

    \b
    Examples:
      trader journal facts config/paper.yaml --last 20
      trader journal facts config/paper.yaml --kind Filled | jq .price
    """
    found = [fact for fact in _facts(config) if not kind or type(fact).__name__ == kind]
    for fact in found[-last:] if last else found:
        print(json.dumps(plain(fact), default=str))


# Signals


@signals.command(epilog=CODES)
def send(
    config: Config,
    values: Annotated[list[str], typer.Argument(help="ASSET=VALUE, as often as wanted.", show_default=False)],
    kind: Annotated[str, typer.Option(help="What is said: trader_grade, trading_signal ...")],
    type_: Annotated[str, typer.Option("--type", help="rating, state or event.")] = "rating",
    source: Annotated[str, typer.Option(help="Who says it.")] = "cli",
    id_: Annotated[str, typer.Option("--id", help="Its own id; none = its content.", show_default=False)] = "",
    mqtt: Annotated[bool, typer.Option("--mqtt", help="Through the broker of the run, not its socket.")] = False,
    dry: Annotated[bool, typer.Option("--print", help="Print the message instead of sending it.")] = False,
) -> None:
    """Send one message to a running bot, through its socket or its broker.

    \b
    Examples:
      trader signal send config/paper.yaml BTC/USDT=85 ETH/USDT=40 --kind trader_grade
      trader signal send config/paper.yaml BTC/USDT=1 --kind trading_signal --type event --mqtt
      trader signal send config/paper.yaml BTC/USDT=85 --kind trader_grade --print
    """
    from trader.adapters.payloads import compose, signed
    from trader.ports import PayloadError
    from trader.runtime.control import Command

    settings, _ = _loaded(config)
    try:
        pairs = {name: float(value) for name, _, value in (one.partition("=") for one in values)}
        body = compose(
            source=source, kind=kind, values=pairs, type_=type_, issued_at=datetime.now(UTC), id_=id_ or None
        )  # fmt: skip
    except (ValueError, PayloadError) as error:
        raise Failure(f"{error}; write ASSET=VALUE, such as BTC/USDT=85") from error
    for name, file in settings.intake.keys.items():
        body = signed(body, name, (config.parent / file).read_text(encoding="utf-8").strip())
        break
    if dry:
        print(body.decode())
    elif mqtt:
        _publish(settings, config, body, source)
    else:
        found = _asked(config, Command("signal", body.decode()))
        print(f"{found['key']}: {found['outcome'] or 'taken; trader explain tells what became of it'}")


def _publish(settings: "Run", config: Path, body: bytes, source: str) -> None:
    from trader.adapters.mqtt import TOPIC, MqttDownError, publish
    from trader.app import broker_of
    from trader.settings import SettingsError

    try:
        _run(publish(dataclasses.replace(broker_of(settings, config.parent), client_id=""), body, f"{TOPIC}/{source}"))
    except SettingsError as error:
        raise Failure(f"{config}: {error}") from error
    except MqttDownError as error:
        raise Failure(f"{error}; is the broker running?", NOT_READY) from error
    print("the broker has it")


# Rehearsals


def loopback(
    venue: Annotated[str, typer.Argument(help="gate or mexc.")] = "gate",
    port: Annotated[int, typer.Option(help="0 = any free one.")] = 0,
    deposit: Annotated[str, typer.Option(help="What is on the account: USDT=10000,BTC=0.1.")] = "USDT=10000",
    faults: Annotated[
        Path | None, typer.Option(help="A YAML file with what goes wrong on purpose.", show_default=False)
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Write what happened here at the end, as JSON.", show_default=False)
    ] = None,
) -> None:
    """Serve an exchange on 127.0.0.1 that speaks Gate's or MEXC's dialect, for rehearsals with `account.url`.

    Key and secret are loopback-key and loopback-secret. Prices walk around those of 2024-03-01; they are not the market's.

    \b
    Examples:
      trader loopback gate --port 8790
      trader loopback mexc --faults config/faults.yaml
    """
    from trader.rehearsal import FaultsError, serve

    if venue not in {"gate", "mexc"}:
        raise Failure(f"venue {venue!r}: allowed are gate and mexc")
    try:
        _run(serve(venue, port=port, deposit=deposit, faults=faults, state=state))
    except FaultsError as error:
        raise Failure(str(error)) from error


def demo(
    venue: Annotated[str, typer.Option(help="Whose dialect the loopback exchange speaks: gate or mexc.")] = "gate",
    days: Annotated[int, typer.Option(min=2, max=1_000, help="How many days of 2024 are played.")] = 61,
    folder: Annotated[Path, typer.Option(help="Where journal and report go.")] = Path("build/demo"),
) -> None:
    """Watch the whole bot at work on this machine, without keys or network, and check it against a replay.

    Real hourly candles at a loopback exchange, ratings derived from them (they are no vendor's and have no edge), messages
    through the inbox, orders through ccxt and a socket, every fact on disk.

    \b
    Examples:
      trader demo
      trader demo --venue mexc --days 30
    """
    from trader.show import show

    if venue not in {"gate", "mexc"}:
        raise Failure(f"--venue {venue!r}: allowed are gate and mexc")
    show(venue, days, folder)


# Helpers


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _loaded(config: Path) -> "tuple[Run, Strategy]":
    from trader.run_settings import load_run
    from trader.settings import SettingsError

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return load_run(config)
    except SettingsError as error:
        raise Failure(str(error)) from error


def _folder(config: Path) -> Path:
    from trader.run_settings import state_folder

    settings, _ = _loaded(config)
    return state_folder(settings, config)


def _asked(config: Path, command: "Command") -> dict[str, object]:
    from trader.runtime.control import NoDaemonError, ask

    path = _folder(config) / "control.sock"
    try:
        found = _run(ask(path, command))
    except NoDaemonError as error:
        raise Failure(f"{error}; start it with: trader run {config}", NOT_READY) from error
    if not found.get("ok"):
        raise Failure(str(found.get("error", found)), REFUSED)
    return found


def _say(config: Path, name: str, argument: str, key: str) -> None:
    from trader.runtime.control import Command

    found = _asked(config, Command(name, argument, key or f"{name}-{os.getpid()}-{datetime.now(UTC).timestamp()}"))
    print(f"{found.get('done')}: the state is {found.get('state')}")


def _facts(config: Path) -> "list[Fact]":
    return _run(_read(config))


async def _read(config: Path) -> "list[Fact]":
    from trader.ports import JournalDownError

    settings, _ = _loaded(config)
    folder = _folder(config)
    try:
        if settings.journal is not None:
            from trader.app import open_journal

            journal = open_journal(settings, folder)
            found = [entry.fact async for entry in journal.read()]
            await journal.close()
            return found
        from trader.adapters.journal_sqlite import JournalReader

        reader = JournalReader(folder / "journal.db")
        try:
            return reader.facts()
        finally:
            reader.close()
    except JournalDownError as error:
        raise Failure(f"{error}; nothing was run with {config} yet?", NOT_READY) from error


async def _verified(config: Path) -> Any:  # noqa: ANN401 - what is broken, and how many facts there are
    settings, _ = _loaded(config)
    if settings.journal is not None:
        from trader.adapters.journal_postgres import PostgresJournal

        journal = PostgresJournal(settings.journal)
        broken = await journal.verify()
        await journal.close()
    else:
        from trader.adapters.journal_sqlite import JournalReader
        from trader.ports import JournalDownError

        try:
            reader = JournalReader(_folder(config) / "journal.db")
        except JournalDownError as error:
            raise Failure(f"{error}; nothing was run with {config} yet?", NOT_READY) from error
        broken = reader.verify()
        reader.close()
    return broken, len(await _read(config)) if broken is None else 0


async def _rebuilt(config: Path) -> int:
    from trader.adapters.lock import AlreadyRunningError, FolderLock

    settings, _ = _loaded(config)
    folder = _folder(config)
    lock = FolderLock(folder)
    try:
        lock.take()
    except AlreadyRunningError as error:
        raise Failure(f"{error}; stop it first", REFUSED) from error
    if settings.journal is not None:
        from trader.adapters.journal_postgres import PostgresJournal

        in_database = PostgresJournal(settings.journal)
        count = await in_database.rebuild()
        await in_database.close()
    else:
        from trader.adapters.journal_sqlite import SqliteJournal

        if not (folder / "journal.db").exists():
            raise Failure(f"{folder / 'journal.db'}: no such journal", NOT_READY)
        journal = SqliteJournal(folder / "journal.db")
        count = journal.rebuild()
        await journal.close()
    lock.release()
    return count


def _table(*names: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(*names, box=box.SIMPLE)


def _print(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def _short(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _cell(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else "" if value is None else value
