"""The facts of a run as commands read them: all of them, from a file or from PostgreSQL, checked, or its tables made anew."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trader.cli_shared import loaded, run_now, state_of
from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from trader.core.facts import Fact
    from trader.ports import JournalDownError


def facts_of(config: Path, *, is_shadow: bool = False) -> "list[Fact]":
    """Every fact of a run, or of its shadow, in order."""
    return run_now(read_facts(config, is_shadow=is_shadow))


async def read_facts(config: Path, *, is_shadow: bool = False) -> "list[Fact]":
    """The same, for who waits already; raises Failure."""
    from trader.ports import JournalDownError

    settings, _ = loaded(config)
    folder = state_of(config) / "shadow" if is_shadow else state_of(config)
    try:
        if settings.journal is not None and not is_shadow:
            from trader.opening import open_journal

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
        raise unread(error, config) from error


def unread(error: "JournalDownError", config: Path) -> Failure:
    """What is said where a journal cannot be read."""
    hint = f"; nothing was run with {config} yet?" if "no such journal" in str(error) else ""
    return Failure(f"{error}{hint}", NOT_READY)


async def verified(config: Path) -> Any:  # noqa: ANN401 - the first broken row or None, and how many facts there are
    """Walk the chain of hashes: what is broken, or None, and how many facts there are."""
    from trader.ports import JournalDownError

    try:
        broken = await _walked(config)
    except JournalDownError as error:
        raise unread(error, config) from error
    return broken, len(await read_facts(config)) if broken is None else 0


async def _walked(config: Path) -> Any:  # noqa: ANN401 - the first broken row or None
    settings, _ = loaded(config)
    if settings.journal is not None:
        from trader.adapters.journal_postgres import PostgresJournal

        journal = PostgresJournal(settings.journal)
        broken = await journal.verify()
        await journal.close()
        return broken
    from trader.adapters.journal_sqlite import JournalReader

    reader = JournalReader(state_of(config) / "journal.db")
    try:
        return reader.verify()
    finally:
        reader.close()


async def rebuilt(config: Path) -> int:
    """Make the derived tables anew; returns from how many facts. Raises Failure while the bot runs."""
    from trader.adapters.lock import AlreadyRunningError, FolderLock

    settings, _ = loaded(config)
    folder = state_of(config)
    lock = FolderLock(folder)
    try:
        lock.take()
    except AlreadyRunningError as error:
        raise Failure(f"{error}; stop it first", REFUSED) from error
    try:
        return await _made_anew(settings.journal, folder)
    finally:
        lock.release()


async def _made_anew(url: str | None, folder: Path) -> int:
    """The same for the journal of that address, or else in that folder."""
    from trader.ports import LeaseHeldError

    if url is not None:
        from trader.adapters.journal_postgres import PostgresJournal

        in_database = PostgresJournal(url)
        try:
            return await in_database.rebuild()
        except LeaseHeldError as error:  # another folder's, or another machine's
            raise Failure(str(error), REFUSED) from error
        finally:
            await in_database.close()
    from trader.adapters.journal_sqlite import SqliteJournal

    if not (folder / "journal.db").exists():
        raise Failure(f"{folder / 'journal.db'}: no such journal", NOT_READY)
    journal = SqliteJournal(folder / "journal.db")
    try:
        return journal.rebuild()
    finally:
        await journal.close()
