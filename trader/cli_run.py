"""The commands around a running bot: run it, ask it, stop it, read what it wrote down. It decides nothing."""

import dataclasses
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_assets import register as register_assets
from trader.cli_data import register as register_data
from trader.cli_incident import register as register_incidents
from trader.cli_journal import register as register_readers
from trader.cli_metrics import register as register_metrics
from trader.cli_ratings import register as register_ratings
from trader.cli_shared import CODES, AsJson, Config, asked, instant_of, loaded, run_now, setup_of
from trader.cli_signals import register as register_signals
from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from trader.run_settings import Run

Key = Annotated[
    str, typer.Option("--key", help="A name for this command: given twice it is carried out once.", show_default=False)
]

Mount = Annotated[str, typer.Option("--mount", help="Of this mount alone; none = of all.", show_default=False)]

signals = typer.Typer(no_args_is_help=True, help="Send a signal, for trying things out; read those of other services.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=CODES)(run)
    app.command(epilog=CODES)(status)
    app.command(epilog=CODES)(halt)
    app.command(epilog=CODES)(resume)
    app.command(epilog=CODES)(flatten)
    app.command(epilog=CODES)(cancel)
    app.command(epilog=CODES)(reconcile)
    register_readers(app)
    register_metrics(app)
    register_incidents(app)
    register_data(app)
    register_ratings(app)
    register_assets(app)
    register_signals(signals)
    app.add_typer(signals, name="signal")
    app.command(epilog=CODES)(loopback)
    app.command(epilog=CODES)(demo)


# Running


def run(
    config: Config,
    live: Annotated[bool, typer.Option("--live", help="Real money; the file must say live: true as well.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Real signals and prices of the venue, orders on paper, nothing sent.")
    ] = False,
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait while another process leads on the same PostgreSQL, then take over.")
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
      trader run config/live.yaml --live --standby
    """
    from trader import app
    from trader.adapters.lock import AlreadyRunningError
    from trader.key_binding import KeyChangedError
    from trader.ports import LeaseLostError
    from trader.runtime.registry import LeftBehindError

    setup = setup_of(config)
    settings = setup.whole
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
        app.run(setup, config, is_shadow=shadow, level=log_level, waits=standby)
    except AlreadyRunningError as error:
        raise Failure(f"{error}; stop it first, or give this run another name:", REFUSED) from error
    except LeaseLostError as error:
        raise Failure(str(error), REFUSED) from error
    except (KeyChangedError, LeftBehindError) as error:
        raise Failure(str(error), REFUSED) from error
    except ValueError as error:
        raise Failure(f"{config}: {error}") from error


def status(config: Config, as_json: AsJson = False, mount: Mount = "") -> None:
    """Ask a running bot what it does, what it holds, and how fresh what it knows is; of several mounts, each below what they are together.

    \b
    Examples:
      trader status config/paper.yaml
      trader status config/several.yaml --mount weekly
      trader status config/paper.yaml --json | jq .state
    """
    from trader.runtime.control import Command

    found = asked(config, Command("status"))
    mounts = found.get("mounts")
    mounts = mounts if isinstance(mounts, dict) else {}
    if mount:
        if mount not in mounts:
            raise Failure(f"--mount {mount!r}: no such mount runs; there are {', '.join(mounts)}")
        found = {"mount": mount, **mounts[mount]}
    if as_json:
        print(json.dumps(found, indent=2))
        return
    hidden = {"ok", "measures"} if len(mounts) > 1 else {"ok", "measures", "mounts"}
    for name, value in found.items():
        if name not in hidden:  # counters are for `trader metrics`
            _show(name.replace("_", " "), value)


def _show(name: str, value: object, depth: int = 0) -> None:
    """A line of a status; what holds more has its lines below."""
    indent = "  " * depth
    if isinstance(value, dict) and value:
        print(f"{indent}{name}")
        for key, one in value.items():
            _show(str(key), one, depth + 1)
    else:
        shown = "-" if value in ({}, []) else json.dumps(value) if isinstance(value, list) else value
        print(f"{indent}{name:{24 - len(indent)}} {shown}")


def halt(
    config: Config,
    why: Annotated[str, typer.Option(help="Written down with it.")] = "",
    everything: Annotated[
        bool, typer.Option("--everything", help="Send no order at all, exits neither: holdings are left alone.")
    ] = False,
    key: Key = "",
    mount: Mount = "",
) -> None:
    """Open nothing more; exits and sales go on. It stays so over restarts, until `trader resume`.

    \b
    Examples:
      trader halt config/paper.yaml --why "exchange maintenance"
      trader halt config/live.yaml --everything --why "the account is not ours alone"
      trader halt config/several.yaml --mount weekly
    """
    _say(config, "kill" if everything else "halt", why, key, mount)


def resume(config: Config, key: Key = "", mount: Mount = "") -> None:
    """Trade again after a halt, a flatten, or a limit that stopped trading.

    \b
    Example:
      trader resume config/paper.yaml
    """
    _say(config, "resume", "", key, mount)


def flatten(
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    key: Key = "",
    mount: Mount = "",
) -> None:
    """Sell everything the bot holds and stay out: a goal that is pursued over outages and restarts until nothing is held.

    \b
    Example:
      trader flatten config/paper.yaml --yes
    """
    who = f"the mount {mount}" if mount else "this bot"
    if not yes and not typer.confirm(f"sell everything {who} holds, and open nothing until `trader resume`?"):
        raise Failure("nothing was done", REFUSED)
    _say(config, "flatten", "", key, mount)


def cancel(
    config: Config,
    number: Annotated[int, typer.Argument(min=1, help="The order's number, as `trader orders` shows it.")],
    key: Key = "",
    mount: Mount = "",
) -> None:
    """Give up what is left of an order that waits to be sent; what is at the exchange already ends by itself within seconds.

    \b
    Example:
      trader cancel config/paper.yaml 17
    """
    _say(config, "cancel", str(number), key, mount)


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
    _say(config, "adopt" if adopt else "reconcile", "", key, "")


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

    settings, _ = loaded(config)
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
        found = asked(config, Command("signal", body.decode()))
        print(f"{found['key']}: {found['outcome'] or 'taken; trader explain tells what became of it'}")


def _publish(settings: "Run", config: Path, body: bytes, source: str) -> None:
    from trader.adapters.mqtt import TOPIC, MqttDownError, publish
    from trader.intake import broker_of
    from trader.settings import SettingsError

    try:
        run_now(
            publish(dataclasses.replace(broker_of(settings, config.parent), client_id=""), body, f"{TOPIC}/{source}")
        )
    except SettingsError as error:
        raise Failure(f"{config}: {error}") from error
    except MqttDownError as error:
        raise Failure(f"{error}; is the broker running?", NOT_READY) from error
    print("the broker has it")


# Rehearsals


def loopback(
    venue: Annotated[str, typer.Argument(help="gate, mexc, or tokenmetrics for ratings.")] = "gate",
    port: Annotated[int, typer.Option(help="0 = any free one.")] = 0,
    deposit: Annotated[str, typer.Option(help="What is on the account: USDT=10000,BTC=0.1.")] = "USDT=10000",
    faults: Annotated[
        Path | None, typer.Option(help="A YAML file with what goes wrong on purpose.", show_default=False)
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Write what happened here at the end, as JSON.", show_default=False)
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            help="tokenmetrics: an instant of its data, UTC; none = its data is moved to now.", show_default=False
        ),
    ] = "",
) -> None:
    """Serve an exchange on 127.0.0.1 that speaks Gate's or MEXC's dialect, for rehearsals with `account.url`.

    Key and secret are loopback-key and loopback-secret. Prices walk around those of 2024-03-01; they are not the market's.

    \b
    Examples:
      trader loopback gate --port 8790
      trader loopback mexc --faults config/faults.yaml
      trader loopback tokenmetrics --port 8791 --at 2024-03-01T01:30
    """
    from trader.rehearsal import FaultsError, serve

    if venue not in {"gate", "mexc", "tokenmetrics"}:
        raise Failure(f"venue {venue!r}: allowed are gate, mexc and tokenmetrics")
    begin = instant_of("--at", at) if at else None
    try:
        run_now(serve(venue, port=port, deposit=deposit, faults=faults, state=state, at=begin))
    except FaultsError as error:
        raise Failure(str(error)) from error


def demo(
    venue: Annotated[
        str, typer.Option(help="Whose dialect the loopback exchange speaks: gate or mexc; or paper, without one.")
    ] = "gate",
    days: Annotated[int, typer.Option(min=2, max=1_000, help="How many days of 2024 are played.")] = 61,
    folder: Annotated[Path, typer.Option(help="Where journal and report go.")] = Path("build/demo"),
    mqtt: Annotated[
        str, typer.Option(help="HOST or HOST:PORT of a broker that carries the signals.", show_default=False)
    ] = "",
) -> None:
    """Watch the whole bot at work on this machine, without keys or network, and check it against a replay.

    Real hourly candles at a loopback exchange; ratings derived from them (they are no vendor's and have no edge), asked from a
    loopback of Token Metrics' API; messages through the inbox, orders through ccxt and a socket, every fact on disk.

    \b
    Examples:
      trader demo
      trader demo --venue mexc --days 30
      trader demo --mqtt 127.0.0.1
    """
    from trader.adapters.mqtt import Broker, MqttDownError
    from trader.show import show

    if venue not in {"gate", "mexc", "paper"}:
        raise Failure(f"--venue {venue!r}: allowed are gate, mexc and paper")
    host, _, port = mqtt.partition(":")
    if port and not port.isdigit():
        raise Failure(f"--mqtt {mqtt!r}: write HOST or HOST:PORT")
    try:
        show(venue, days, folder, Broker(host, int(port or 1883)) if mqtt else None)
    except MqttDownError as error:
        raise Failure(f"{error}; is the broker running?", NOT_READY) from error


# Helpers


def _say(config: Path, name: str, argument: str, key: str, mount: str) -> None:
    from trader.runtime.control import Command

    key = key or f"{name}-{os.getpid()}-{datetime.now(UTC).timestamp()}"
    found = asked(config, Command(name, argument, key, mount))
    print(f"{found.get('done')}: the state is {found.get('state')}" + (f" ({mount})" if mount else ""))
