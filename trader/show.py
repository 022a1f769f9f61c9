"""The demo as it is shown: a live view in the terminal, and at its end what was checked and what came of it."""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from backtests import Costs, Result, replay
from backtests.report import ReportError
from trader.adapters.mqtt import Broker
from trader.app import rehearse_run
from trader.core.facts import Decided, Fact, Filled, OrderPlaced, TargetSet
from trader.core.records import SignalClosed, SignalReceived
from trader.core.risk import Limits
from trader.demo import FEES, Ended, Stage, play, tape_of
from trader.furnishing import Bench
from trader.lockstep import Instant
from trader.output import INTERNAL, Failure, write
from trader.run_settings import load_run, state_folder
from trader.runtime.rehearing import Rehearing

LABEL = "real hourly candles of 2024; ratings DERIVED FROM THEM, not a vendor's, without edge"
CONFIG = """\
# What the demo plays, so that the commands can be tried on what it leaves behind: trader explain, orders, fills ...
version: 1
name: demo
venue: paper
prices: {prices}
capital: 10000
assets: [BTC/USDT, ETH/USDT, BNB/USDT, SOL/USDT, XRP/USDT]
timeframe: 1h
strategy: {{name: TopRated, parameters: {{kind: trader_grade, top: 3, enter: 55, band: 2%, exits: [{{fall_by: 5%}}]}}}}
limits: {{weight_per_asset: 40%}}
state: .
"""
SPARKS = "▁▂▃▄▅▆▇█"
SHOWN = 12
WATCH_SECONDS = 20.0


@dataclass(slots=True)
class Seen:
    """What the view shows."""

    total: int
    played: int = 0
    equity: list[float] = field(default_factory=list)
    tape: deque[Text] = field(default_factory=lambda: deque(maxlen=SHOWN))
    counts: Counter[str] = field(default_factory=Counter)
    drawn: float = 0.0


def show(venue: str, days: int, folder: Path, broker: Broker | None = None) -> None:
    """Play the demo, show it, and check it; raises Failure where a check fails."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "run.yaml"
    write(config, CONFIG.format(prices="gate" if venue == "paper" else venue))
    settings, strategy = load_run(config)
    journal = state_folder(settings, config) / "journal.db"
    journal.parent.mkdir(parents=True, exist_ok=True)
    for name in (journal, journal.with_name("ratings.db")):
        for suffix in ("", "-wal", "-shm"):
            Path(f"{name}{suffix}").unlink(missing_ok=True)
    since = datetime(2024, 3, 1, tzinfo=UTC)
    stage = Stage(
        strategy, venue=venue, since=since, until=since + timedelta(days=days), cash=Decimal(repr(settings.capital)),
        limits=Limits(**settings.limits.model_dump()), feeds=True,
    )  # fmt: skip
    console = Console()
    where = "on paper" if venue == "paper" else f"on a loopback {venue}"
    console.print(f"[bold]demo[/bold]: TopRated {where}, {days} days from {since:%Y-%m-%d}. {LABEL}.")
    begin = time.monotonic()
    ended = _played(stage, journal, console, broker)
    heard = rehearse_run(ended.facts, settings, strategy)
    beside = _replayed(stage)
    report = _report(beside, folder / "report.html")
    _tell(console, stage, ended, heard, beside, time.monotonic() - begin)
    console.print(f"journal {journal}" + ("" if report is None else f", report of the replay {report}"))
    key = next((fact.key for fact in ended.facts if isinstance(fact, SignalClosed) and fact.outcome == "traded"), "")
    console.print(f"look closer: trader fills {config}, trader explain {config} {key}", soft_wrap=True)
    if not _checks(ended, heard, beside)[1]:
        raise Failure("a check of the demo failed: please report it", INTERNAL)


def _played(stage: Stage, journal: Path, console: Console, broker: Broker | None) -> Ended:
    seen = Seen(total=int((stage.until - stage.since).total_seconds() // 3_600) + 1)
    bar = Progress(TextColumn("{task.description}"), BarColumn(None), TimeRemainingColumn(), console=console)
    task = bar.add_task("", total=seen.total)
    is_watched = console.is_terminal
    live = Live(console=console, refresh_per_second=8, transient=True) if is_watched else nullcontext()
    with live as view:

        def progress(instant: Instant, made: Bench, followed: Sequence[Fact]) -> None:
            _note(seen, made, followed)
            if view is not None:
                time.sleep(WATCH_SECONDS / seen.total)  # otherwise it is over before one has seen it
            if view is not None and time.monotonic() - seen.drawn > 0.1:
                seen.drawn = time.monotonic()
                bar.update(task, completed=seen.played, description=f"{instant.at:%Y-%m-%d %H:%M}")
                view.update(_drawn(seen, made, bar))
            elif view is None and seen.played % 240 == 0:
                print(f"{instant.at:%Y-%m-%d} equity {seen.equity[-1]:,.2f}", file=sys.stderr)  # noqa: T201

        return asyncio.run(play(stage, journal, progress=progress, broker=broker))


def _note(seen: Seen, made: Bench, followed: Sequence[Fact]) -> None:
    engine = made.desk.engine
    ledger = engine.mount.ledger
    held = sum(
        float(one.quantity) * float(engine.market.mark(asset)) for asset, one in ledger.holdings.items() if one.quantity
    )
    seen.played += 1
    seen.equity.append(float(ledger.total_cash()) + held)
    seen.counts["messages"] = made.desk.keeper.told[SignalReceived]
    for fact in followed:
        match fact:
            case Decided(causes=causes):
                seen.counts["decisions"] += 1
                seen.tape.append(Text(f"{fact.at:%m-%d %H:%M} decided  woken by {', '.join(causes)}", "dim"))
            case TargetSet(asset=asset, size=size):
                seen.tape.append(
                    Text(
                        f"{fact.at:%m-%d %H:%M} target   {asset} -> {f'{size:.1%}' if isinstance(size, float) else size}",
                        "cyan",
                    )
                )
            case OrderPlaced(asset=asset, side=side, quantity=quantity, why=why):
                seen.counts["orders"] += 1
                colour = "green" if side == "buy" else "red"
                seen.tape.append(Text(f"{fact.at:%m-%d %H:%M} {side:8} {quantity} {asset} ({why})", colour))
            case _:
                pass


def _drawn(seen: Seen, made: Bench, bar: Progress) -> Group:
    mount = made.desk.engine.mount
    table = Table("asset", "quantity", "entry", "price", "profit", box=box.SIMPLE, expand=True)
    for asset, one in sorted(mount.ledger.holdings.items()):
        if not one.is_flat:
            price = float(made.desk.engine.market.mark(asset))
            gain = price / float(one.entry) - 1
            colour = "green" if gain >= 0 else "red"
            table.add_row(
                asset, f"{one.quantity}", f"{float(one.entry):,.6g}", f"{price:,.6g}", Text(f"{gain:+.2%}", colour)
            )
    first, last = seen.equity[0], seen.equity[-1]
    way = ", filled on paper" if made.venue.name == "paper" else ", ccxt and a socket"
    head = Text.assemble(
        ("equity ", "bold"), f"{last:,.2f} ({last / first - 1:+.2%})  ", (_spark(seen.equity, 40), "cyan"),
        f"\ncash {float(mount.ledger.total_cash()):,.2f}   {seen.counts['messages']} messages, "
        f"{seen.counts['decisions']} decisions, {seen.counts['orders']} orders, all through the inbox{way}",
    )  # fmt: skip
    tape = Group(*seen.tape) if seen.tape else Text("nothing yet")
    return Group(bar, Panel(head), Panel(table, title="holdings"), Panel(tape, title="what it does"))


def _spark(values: Sequence[float], width: int) -> str:
    step = max(len(values) // width, 1)
    points = values[::step][-width:]
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    return "".join(SPARKS[min(int((one - low) / span * len(SPARKS)), len(SPARKS) - 1)] for one in points)


def _replayed(stage: Stage) -> Result:
    fee_in, fee = FEES[stage.venue]
    costs = Costs(
        fee=float(fee), half_spread=stage.half_spread, fee_on_buy="received" if fee_in == "received" else "quote"
    )
    return replay(stage.strategy, tape_of(stage), cash=float(stage.cash), costs=costs, limits=stage.limits, exact=True)


def _plan(facts: Sequence[Fact]) -> list[tuple[object, ...]]:
    """What was decided and ordered, without the keys that only a live order has."""
    found: list[tuple[object, ...]] = []
    for fact in facts:
        match fact:
            case Decided():
                found.append((fact.at, fact.causes, fact.why))
            case TargetSet():
                found.append((fact.at, fact.asset, fact.size, fact.exits))
            case OrderPlaced():
                found.append((fact.at, fact.asset, fact.side, fact.quantity, fact.why))
            case _:
                pass
    return found


def _checks(ended: Ended, heard: Rehearing, beside: Result) -> tuple[list[tuple[str, bool, str]], bool]:
    """Each check with its verdict and a figure, and whether all of them hold."""
    received = [fact for fact in ended.facts if isinstance(fact, SignalReceived)]
    closed = Counter(fact.key for fact in ended.facts if isinstance(fact, SignalClosed))
    once = all(bool(fact.outcome) + closed[fact.key] == 1 for fact in received)
    ours, theirs = _plan(ended.facts), _plan(beside.facts())
    same = sum(a == b for a, b in zip(ours, theirs, strict=False))
    rows = [
        ("every signal has exactly one outcome", once, f"{len(received)} signals"),
        ("the account moved by what the book says", not ended.discrepancies, f"{ended.orders_at_venue} orders there"),
        ("the recorded session decides the same again", not heard.differences, f"{heard.same} of {heard.decisions}"),
        ("a backtest of the same tape decides the same", ours == theirs, f"{same} of {max(len(ours), len(theirs))}"),
    ]
    return rows, all(one[1] for one in rows)


def _tell(console: Console, stage: Stage, ended: Ended, heard: Rehearing, beside: Result, seconds: float) -> None:
    fills = [fact for fact in ended.facts if isinstance(fact, Filled)]
    gain = ended.equity / stage.cash - 1
    outcomes = Counter(fact.outcome for fact in ended.facts if isinstance(fact, SignalClosed))
    outcomes += Counter(fact.outcome for fact in ended.facts if isinstance(fact, SignalReceived) if fact.outcome)
    table = Table("", "", box=box.SIMPLE, show_header=False)
    table.add_row("equity", f"{stage.cash:,.2f} -> {ended.equity:,.2f} ({gain:+.2%}); {LABEL}")
    table.add_row(
        "assumed", f"fee {FEES[stage.venue][1]}, half spread {stage.half_spread:g}, delay 0 s after the close"
    )
    table.add_row("signals", ", ".join(f"{count} {name}" for name, count in outcomes.most_common()))
    table.add_row("orders", f"{ended.orders_at_venue} at the venue, {len(fills)} fills, {ended.requests} requests")
    table.add_row("facts", f"{len(ended.facts)} on disk, in {seconds:.1f} s")
    for name, holds, figure in _checks(ended, heard, beside)[0]:
        table.add_row(Text("holds" if holds else "FAILS", "green" if holds else "bold red"), f"{name} ({figure})")
    console.print(table)


def _report(result: Result, path: Path) -> Path | None:
    try:
        return result.report(path)
    except (ReportError, OSError, ImportError) as error:
        print(f"no report: {error}", file=sys.stderr)  # noqa: T201
        return None
