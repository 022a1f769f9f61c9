"""What was known at an instant, as the store answers it, is what a plain look through everything that was seen would say."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from trader.adapters.ratings_store import RatingsStore, StoreError, StoreVersionError
from trader.adapters.tokenmetrics import Budget
from trader.core.observations import Observation, seen

START = datetime(2024, 1, 1, tzinfo=UTC)
LAG, DAY = timedelta(hours=1), timedelta(days=1)


def look(day, value, at, *, asset="BTC/USDT", kind="trader_grade", source="tm", is_history=False):
    """A value of a day, seen so many days after the start."""
    return seen(
        source=source, kind=kind, type_="rating", asset=asset, as_of=START + day * DAY, value=value,
        observed_at=START + timedelta(days=at), lag=LAG, is_history=is_history,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    one = RatingsStore(tmp_path / "ratings.db")
    yield one
    one.close()


def plainly(sightings, at, trust, provisional):
    """What was known, written apart: everything that was seen is gone through, one after the other."""
    shown = {}
    for one in sightings:
        name = (one.source, one.kind, one.asset, one.as_of)
        chain = shown.setdefault(name, [])
        known = one.known_at
        if chain:
            if (chain[-1][1], chain[-1][2]) == (one.value, one.is_provisional):
                continue
            known = max(one.observed_at, chain[-1][0])
        chain.append((known, one.value, one.is_provisional))
    best = {}
    for (source, kind, asset, as_of), chain in shown.items():
        visible = [one for one in chain if one[0] <= at and (provisional or not one[2])]
        if visible:
            rank = trust.index(source) if source in trust else len(trust)
            row = (as_of, -rank, [-ord(letter) for letter in source], visible[-1][1])
            if (asset, kind) not in best or row > best[asset, kind]:
                best[asset, kind] = row
    return {name: (row[0], row[3]) for name, row in best.items()}


def at_random(seed):
    lot, found, now = Random(seed), [], 0.0
    for _ in range(lot.randrange(5, 120)):
        now += lot.choice([0.0, 0.01, 0.3, 1.0])
        found.append(
            look(
                lot.randrange(0, int(now) + 1),
                float(lot.randrange(4)),
                now,
                asset=lot.choice(["BTC/USDT", "ETH/USDT"]),
                kind=lot.choice(["trader_grade", "trend"]),
                source=lot.choice(["tm", "other", "third"]),
                is_history=lot.random() < 0.4,
            )
        )  # fmt: skip
    return found, lot


@pytest.mark.parametrize("seed", range(25))
def test_what_was_known_at_any_instant_is_what_a_plain_look_says(store, seed):
    sightings, lot = at_random(seed)
    place = 0
    while place < len(sightings):  # in batches, as they come
        size = lot.randrange(1, 9)
        store.append(sightings[place : place + size])
        place += size
    for _ in range(40):
        at = START + timedelta(days=lot.uniform(-1, 60))
        trust, provisional = lot.choice([(), ("other", "tm")]), lot.random() < 0.5
        found = {
            (one.asset, one.kind): (one.as_of, one.value)
            for one in store.known(at, trust=trust, provisional=provisional)
        }
        assert found == plainly(sightings, at, list(trust), provisional)


def test_a_history_is_known_by_rule_and_a_revision_since_it_was_seen(store):
    assert store.append([look(0, 50.0, 100, is_history=True), look(1, 60.0, 100, is_history=True)]) == 2
    assert store.append([look(0, 50.0, 200, is_history=True)]) == 0
    assert store.append([look(0, 55.0, 201, is_history=True)]) == 1
    first, second, revised = sorted(store.rows(), key=lambda one: (one.as_of, one.known_at))[0::2] + store.rows()[-1:]
    assert (first.known_at, first.is_assumed) == (START + DAY + LAG, True)
    assert (revised.value, revised.known_at, revised.is_assumed) == (55.0, START + 201 * DAY, False)
    assert {one.value for one in store.known(START + DAY + LAG)} == {50.0}
    assert store.known(START + DAY + LAG - timedelta(seconds=1)) == []
    assert second.as_of == START + DAY


def test_what_comes_back_to_an_old_value_is_a_revision_too(store):
    for at, value in ((1.5, 50.0), (2.5, 60.0), (3.5, 50.0)):
        assert store.append([look(0, value, at)]) == 1
    asked = [store.known(START + timedelta(days=at))[0].value for at in (2.0, 3.0, 4.0)]
    assert asked == [50.0, 60.0, 50.0]


def test_the_day_that_is_not_over_is_provisional_and_left_out_unless_asked_for(store):
    store.append([look(0, 50.0, 0.5)])
    assert store.known(START + timedelta(days=0.6)) == []
    assert store.known(START + timedelta(days=0.6), provisional=True)[0].is_provisional
    assert store.append([look(0, 50.0, 1.5)]) == 1, "the same value of the day that is over is another statement"
    assert not store.known(START + 2 * DAY)[0].is_provisional


def test_gaps_what_there_is_and_rows_that_could_not_be_read(store):
    store.append([look(day, 1.0, 50, is_history=True) for day in (0, 1, 4, 5, 9)])
    assert store.gaps("tm", "trader_grade", "BTC/USDT") == [
        (START + 2 * DAY, START + 3 * DAY), (START + 6 * DAY, START + 8 * DAY),
    ]  # fmt: skip
    (one,) = store.covered()
    assert (one.first, one.last, one.days, one.rows) == (START, START + 9 * DAY, 5, 5)
    assert store.keep_aside(START, "tm", [("price", "why", "{}"), ("price", "why", "{}")]) == 1
    assert [row.why for row in store.aside()] == ["why"]


def test_what_a_pull_needs_outlives_it(tmp_path):
    store = RatingsStore(tmp_path / "ratings.db")
    store.keep_spent("2024-06", 7)
    store.keep_spent("2024-06", 8)
    store.note_done("job", START.date(), (1, 2))
    store.close()
    again = RatingsStore(tmp_path / "ratings.db")
    assert again.spent() == {"2024-06": 8}
    assert again.is_done("job", START.date(), (1, 2))
    assert not again.is_done("job", START.date(), (1,))
    with again._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ratings_meta SET version = 99")
    again.close()
    with pytest.raises(StoreVersionError, match="99"):
        RatingsStore(tmp_path / "ratings.db")


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        seen(
            source="tm", kind="k", type_="rating", asset="A", as_of=datetime(2024, 1, 1), value=1.0, observed_at=START,  # noqa: DTZ001
            lag=LAG, is_history=True,
        )  # fmt: skip
    assert Observation.__slots__[0] == "source"


def test_credits_of_two_processes_add_up(tmp_path):
    """A pull beside the bot: each knew what was spent when it began, and the last to write would win."""
    stores = [RatingsStore(tmp_path / "ratings.db") for _ in range(2)]
    bot, pull = (Budget(100, one.spent(), one.keep_spent) for one in stores)
    for _ in range(50):
        pull.spend(START)
    bot.spend(START)
    assert (stores[0].spent(), bot.left(START)) == ({"2024-01": 51}, 49)
    pull.spend(START)
    assert (stores[0].spent(), pull.left(START)) == ({"2024-01": 52}, 48)


def test_what_is_no_store_is_an_error_with_its_name(tmp_path):
    (tmp_path / "ratings.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreError, match="ratings.db: cannot be read: file is not a database; move it away"):
        RatingsStore(tmp_path / "ratings.db")
