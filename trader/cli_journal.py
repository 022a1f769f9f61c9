"""The commands that read what a bot wrote down. They change nothing, but for `journal rebuild`."""

import csv
import dataclasses
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trader.cli_facts import facts_of, rebuilt, unread, verified
from trader.cli_shared import (
    CODES,
    AsJson,
    Config,
    cell,
    loaded,
    print_table,
    run_now,
    setup_of,
    short,
    state_of,
    table_of,
)
from trader.output import NOT_READY, REFUSED, Failure, plain

if TYPE_CHECKING:
    from datetime import datetime

    from trader.core.facts import Fact
    from trader.runtime.rehearing import Rehearing

OfMount = Annotated[str, typer.Option("--mount", help="Only of this mount.", show_default=False)]
journals = typer.Typer(no_args_is_help=True, help="Check or rebuild a journal, or print its facts.")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=CODES)(orders)
    app.command(epilog=CODES)(holdings)
    app.command(epilog=CODES)(fills)
    app.command(epilog=CODES)(equity)
    app.command(epilog=CODES)(explain)
    app.command(epilog=CODES)(compare)
    app.command("replay-journal", epilog=CODES)(replay_journal)
    app.add_typer(journals, name="journal")


def orders(config: Config, as_json: AsJson = False, mount: OfMount = "") -> None:
    """List every order, the newest last.

    \b
    Examples:
      trader orders config/paper.yaml
      trader orders config/several.yaml --mount weekly
    """
    from trader.runtime.stories import order_lines

    facts, named = _of(config, mount)
    rows = order_lines(facts)
    if as_json:
        print(json.dumps([plain(row) for row in rows], indent=2))
        return
    table = table_of(*named, "order", "at", "asset", "side", "quantity", "filled", "state", "why")
    for row in rows:
        table.add_row(
            *([row.mount] if named else []), str(row.order), short(row.at), row.asset, row.side, row.quantity, str(row.filled),
            row.state, row.why,
        )  # fmt: skip
    print_table(table)


def holdings(config: Config, as_json: AsJson = False, mount: OfMount = "") -> None:
    """List what the bot holds, from its own fills, with the average entry and the profit realised so far.

    \b
    Examples:
      trader holdings config/paper.yaml
      trader holdings config/several.yaml --mount weekly
    """
    from trader.runtime.stories import by_asset, statement

    facts, named = _of(config, mount)
    _, held = statement(facts)
    if as_json:
        print(json.dumps(plain(by_asset(held, facts)), indent=2))
        return
    table = table_of(*named, "asset", "quantity", "entry", "realised")
    for (name, asset), one in sorted(held.items()):
        row = [asset, f"{one.quantity:f}", f"{one.entry:.8g}", f"{one.realised:,.2f}"]
        table.add_row(*([name] if named else []), *row)
    print_table(table)


def fills(
    config: Config,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for taxes and spreadsheets.")] = False,
    mount: OfMount = "",
) -> None:
    """List every fill with its value, fee and realised profit (average cost; fees in quote money taken off).

    \b
    Examples:
      trader fills config/paper.yaml
      trader fills config/paper.yaml --csv > fills.csv
    """
    from trader.runtime.stories import FillLine, statement

    facts, named = _of(config, mount)
    lines, _ = statement(facts)
    fields = [one.name for one in dataclasses.fields(FillLine)]
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(fields)
        for line in lines:
            writer.writerow([cell(getattr(line, name)) for name in fields])
        return
    table = table_of(*named, "at", "asset", "side", "quantity", "price", "value", "fee", "realised", "why")
    for one in lines:
        table.add_row(
            *([one.mount] if named else []), short(one.at), one.asset, one.side, f"{one.quantity:f}", f"{one.price:f}", f"{one.value:,.2f}",
            f"{one.fee:.8g} {one.fee_asset}", f"{one.realised:,.2f}", one.why,
        )  # fmt: skip
    print_table(table)


def equity(
    config: Config,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every value as CSV, not the last of each day.")] = False,
    mount: OfMount = "",
) -> None:
    """Show what the bot was worth day by day: its cash, and what it holds at the last closes.

    \b
    Examples:
      trader equity config/paper.yaml
      trader equity config/paper.yaml --csv > equity.csv
    """
    values = run_now(_worths(config, mount))
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["at", "mount", "cash", "equity"])
        for at, name, cash, worth in values:
            writer.writerow([at.isoformat(), name, cash, worth])
        return
    table = table_of("day", "mount", "cash", "equity", "change")
    days = {(at.date(), name): (cash, worth) for at, name, cash, worth in values}
    before: dict[str, Decimal] = {}
    for (day, name), (cash, worth) in days.items():
        change = f"{worth / before[name] - 1:+.2%}" if before.get(name) else ""
        table.add_row(f"{day:%Y-%m-%d}", name, f"{cash:,.2f}", f"{worth:,.2f}", change)
        before[name] = worth
    print_table(table)


async def _worths(config: Path, mount: str) -> "list[tuple[datetime, str, Decimal, Decimal]]":
    """When, which mount, its cash and equity, from the table that is kept of it, of one mount or of all; raises Failure."""
    from trader.adapters.journal_pages import JournalPages
    from trader.ports import JournalDownError
    from trader.runtime.stories import mounts_of

    settings, _ = loaded(config)
    pages = JournalPages(settings.journal or state_of(config) / "journal.db")
    try:
        if mount:
            starts = [one.fact for one in await pages.newest("MountStarted", 1_000)]
            _check_mount(mount, mounts_of([*reversed(starts)]))
        return [(at, name, cash, worth) for at, name, cash, worth in await pages.worth(None, sys.maxsize, mount)]
    except JournalDownError as error:
        raise unread(error, config) from error
    finally:
        await pages.close()


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

    facts = facts_of(config)
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


def compare(config: Config, as_json: AsJson = False, mount: OfMount = "") -> None:
    """Compare what a shadow run decided with what the real run did, message by message.

    Both must have heard the same messages: `trader run CONFIG --live` beside `trader run CONFIG --shadow`.

    \b
    Example:
      trader compare config/live.yaml
    """
    from trader.runtime.stories import compared, of_mount

    real, shadow = facts_of(config), facts_of(config, is_shadow=True)
    rows = compared(of_mount(real, mount), of_mount(shadow, mount))
    if as_json:
        print(json.dumps([plain(one) for one in rows], indent=2, default=str))
        return
    print(f"{sum(one.is_same for one in rows)} of {len(rows)} messages that both heard were answered alike")
    for one in rows:
        if not one.is_same:
            print(
                f"  {one.at:%Y-%m-%d %H:%M:%S} {one.key}\n    real    {one.real or 'nothing'}\n    shadow  {one.shadow or 'nothing'}"
            )


def replay_journal(config: Config, as_json: AsJson = False, mount: OfMount = "") -> None:
    """Tell a recorded session to a fresh engine with this configuration's strategy, and compare decision by decision.

    \b
    Examples:
      trader replay-journal config/paper.yaml
      trader replay-journal config/several.yaml --mount weekly
    """
    from trader.app import rehearse_run

    facts, found = facts_of(config), {}
    for one in setup_of(config).mounts:
        if mount in {"", one.settings.name}:
            try:
                found[one.settings.name] = rehearse_run(facts, one.settings, one.strategy)
            except ValueError as error:
                raise Failure(str(error), NOT_READY) from error
    if not found:
        raise Failure(f"--mount {mount!r}: the file sets no such mount to work")
    if as_json:
        each = {name: plain(heard) for name, heard in found.items()}
        print(json.dumps(each if len(each) > 1 else next(iter(each.values())), indent=2, default=str))
    else:
        for name, heard in found.items():
            _tell(heard, f"{name}: " if len(found) > 1 else "")
    if any(heard.differences for heard in found.values()):
        raise typer.Exit(REFUSED)


def _tell(heard: "Rehearing", named: str) -> None:
    print(f"{named}{heard.same} of {heard.decisions} decisions are the same")
    for note in heard.notes:
        print(f"{named}the record was made by another strategy: {note}")
    for change in heard.changes:
        print(f"{named}the configuration changed: {change}")
    for one in heard.differences:
        print(f"  {one.reason}: recorded {one.recorded}\n        now      {one.now}")


@journals.command(epilog=CODES)
def verify(config: Config) -> None:
    """Walk the chain of hashes from the first fact to the last.

    \b
    Example:
      trader journal verify config/paper.yaml
    """
    broken, count = run_now(verified(config))
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
    from trader.ports import JournalDownError

    try:
        count = run_now(rebuilt(config))
    except JournalDownError as error:
        raise Failure(f"{error}; keep the file, and restore a backup (docs/journal.md)", NOT_READY) from error
    print(f"rebuilt from {count} facts")


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
    found = [fact for fact in facts_of(config) if not kind or type(fact).__name__ == kind]
    for fact in found[-last:] if last else found:
        print(json.dumps(plain(fact), default=str))


def _of(config: Path, mount: str) -> "tuple[list[Fact], list[str]]":
    """The facts of a mount, or of all, and the column that tells mounts apart where there are several to tell apart."""
    from trader.runtime.stories import mounts_of, of_mount

    facts = facts_of(config)
    known = mounts_of(facts)
    _check_mount(mount, known)
    return of_mount(facts, mount), ["mount"] if len(known) > 1 and not mount else []


def _check_mount(mount: str, known: "list[str]") -> None:
    from trader.setting_values import near

    if mount and mount not in known:
        raise Failure(f"--mount {mount!r}: {near(mount, known)}the journal has {', '.join(known) or 'no mount yet'}")
