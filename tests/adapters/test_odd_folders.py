"""A run may be named as its user likes: what stands in the way in an address of a database is no obstacle in a folder."""

import pytest

from trader.adapters.journal_pages import JournalPages
from trader.adapters.journal_sqlite import JournalReader, SqliteJournal
from trader.adapters.ratings_store import RatingsStore, spent_in


@pytest.mark.parametrize("name", ["bot #1", "what?", "50%25", "a&b=c"])
async def test_journal_and_store_are_where_they_were_made(tmp_path, name):
    folder = tmp_path / name
    journal = SqliteJournal(folder / "journal.db")
    await journal.take("me", seconds=60.0)
    assert len(JournalReader(folder / "journal.db").facts()) == 1
    assert await JournalPages(folder / "journal.db").last() == 1
    await journal.close()
    store = RatingsStore(folder / "ratings.db")
    store.keep_spent("2026-06", 3)
    store.close()
    assert spent_in(folder / "ratings.db") == {"2026-06": 3}
    assert [one.name for one in tmp_path.iterdir()] == [name]
