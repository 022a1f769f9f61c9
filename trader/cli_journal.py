"""The commands that read what a bot wrote down. They change nothing, but for `journal rebuild`."""

import csv
import dataclasses
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader.cli_shared import CODES, AsJson, Config, cell, loaded, print_table, run_now, short, state_of, table_of
from trader.output import NOT_READY, REFUSED, Failure, plain

if TYPE_CHECKING:
    from trader.core.facts import Fact

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


def orders(config: Config, as_json: AsJson = False) -> None:
    """List every order, the newest last.

    \b
    Example:
      trader orders config/paper.yaml
    """
    from trader.runtime.stories import order_lines

    rows = order_lines(facts_of(config))
    if as_json:
        print(json.dumps([plain(row) for row in rows], indent=2))
        return
    table = table_of("order", "at", "asset", "side", "quantity", "filled", "state", "why")
    for row in rows:
        table.add_row(
            str(row.order), short(row.at), row.asset, row.side, row.quantity, str(row.filled), row.state, row.why
        )
    print_table(table)


def holdings(config: Config, as_json: AsJson = False) -> None:
    """List what the bot holds, from its own fills, with the average entry and the profit realised so far.

    \b
    Example:
      trader holdings config/paper.yaml
    """
    from trader.runtime.stories import statement

    _, held = statement(facts_of(config))
    if as_json:
        print(json.dumps({asset: plain(one) for asset, one in held.items()}, indent=2))
        return
    table = table_of("asset", "quantity", "entry", "realised")
    for asset, one in sorted(held.items()):
        table.add_row(asset, f"{one.quantity:f}", f"{one.entry:.8g}", f"{one.realised:,.2f}")
    print_table(table)


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

    lines, _ = statement(facts_of(config))
    names = [one.name for one in dataclasses.fields(FillLine)]
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        for line in lines:
            writer.writerow([cell(getattr(line, name)) for name in names])
        return
    table = table_of("at", "asset", "side", "quantity", "price", "value", "fee", "realised", "why")
    for one in lines:
        table.add_row(
            short(one.at), one.asset, one.side, f"{one.quantity:f}", f"{one.price:f}", f"{one.value:,.2f}",
            f"{one.fee:.8g} {one.fee_asset}", f"{one.realised:,.2f}", one.why,
        )  # fmt: skip
    print_table(table)


def equity(
    config: Config,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every value as CSV, not the last of each day.")] = False,
) -> None:
    """Show what the bot was worth day by day: its cash, and what it holds at the last closes.

    \b
    Examples:
      trader equity config/paper.yaml
      trader equity config/paper.yaml --csv > equity.csv
    """
    from trader.runtime.stories import curve

    values = curve(facts_of(config))
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["at", "mount", "cash", "equity"])
        for one in values:
            writer.writerow([one.at.isoformat(), one.mount, one.cash, one.equity])
        return
    table = table_of("day", "mount", "cash", "equity", "change")
    days = {(one.at.date(), one.mount): one for one in values}
    before: dict[str, Decimal] = {}
    for (day, mount), one in days.items():
        change = f"{one.equity / before[mount] - 1:+.2%}" if before.get(mount) else ""
        table.add_row(f"{day:%Y-%m-%d}", mount, f"{one.cash:,.2f}", f"{one.equity:,.2f}", change)
        before[mount] = one.equity
    print_table(table)


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


def compare(config: Config, as_json: AsJson = False) -> None:
    """Compare what a shadow run decided with what the real run did, message by message.

    Both must have heard the same messages: `trader run CONFIG --live` beside `trader run CONFIG --shadow`.

    \b
    Example:
      trader compare config/live.yaml
    """
    from trader.runtime.stories import compared

    rows = compared(facts_of(config), facts_of(config, is_shadow=True))
    if as_json:
        print(json.dumps([plain(one) for one in rows], indent=2, default=str))
        return
    print(f"{sum(one.is_same for one in rows)} of {len(rows)} messages that both heard were answered alike")
    for one in rows:
        if not one.is_same:
            print(
                f"  {one.at:%Y-%m-%d %H:%M:%S} {one.key}\n    real    {one.real or 'nothing'}\n    shadow  {one.shadow or 'nothing'}"
            )


def replay_journal(config: Config, as_json: AsJson = False) -> None:
    """Tell a recorded session to a fresh engine with this configuration's strategy, and compare decision by decision.

    \b
    Example:
      trader replay-journal config/paper.yaml
    """
    from trader.app import rehearse_run

    settings, strategy = loaded(config)
    try:
        heard = rehearse_run(facts_of(config), settings, strategy)
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
    broken, count = run_now(_verified(config))
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
    print(f"rebuilt from {run_now(_rebuilt(config))} facts")


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


def facts_of(config: Path, *, is_shadow: bool = False) -> "list[Fact]":
    """Every fact of a run, or of its shadow, in order."""
    return run_now(_read(config, is_shadow=is_shadow))


async def _read(config: Path, *, is_shadow: bool = False) -> "list[Fact]":
    from trader.ports import JournalDownError

    settings, _ = loaded(config)
    folder = state_of(config) / "shadow" if is_shadow else state_of(config)
    try:
        if settings.journal is not None and not is_shadow:
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
    settings, _ = loaded(config)
    if settings.journal is not None:
        from trader.adapters.journal_postgres import PostgresJournal

        journal = PostgresJournal(settings.journal)
        broken = await journal.verify()
        await journal.close()
    else:
        from trader.adapters.journal_sqlite import JournalReader
        from trader.ports import JournalDownError

        try:
            reader = JournalReader(state_of(config) / "journal.db")
        except JournalDownError as error:
            raise Failure(f"{error}; nothing was run with {config} yet?", NOT_READY) from error
        broken = reader.verify()
        reader.close()
    return broken, len(await _read(config)) if broken is None else 0


async def _rebuilt(config: Path) -> int:
    from trader.adapters.lock import AlreadyRunningError, FolderLock

    settings, _ = loaded(config)
    folder = state_of(config)
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
