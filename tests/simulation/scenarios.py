"""Canonical stories, without any chance, and every one of them with every single end of a life in it.

`ends(plan)` lets a story happen once and names all places of the protocol's rooms at which its last life could end; `single_kills` is one plan
for each. A poll that comes again and again counts for its first few times.
"""

from dataclasses import replace

from tests.simulation.plan import Plan
from tests.simulation.points import room_of
from tests.simulation.schedules import tell

ROOMS = {"intake", "submit", "resolve", "recover", "operate"}
TIMES = 4  # how often the same await point counts within a life
BUY, SELL = {"BTC/USDT": 40.0}, {"BTC/USDT": 0.0}
# what a life was doing when it ended
IN_FLIGHT = ["outbox.send: venue.send / answered", 1]


def _plan(name, seconds, messages, **more):
    numbered = [
        [at, {"id": str(n), **(said if "weights" in said else {"weights": said})}]
        for n, (at, said) in enumerate(messages, 1)
    ]
    return Plan(1, seconds=seconds, messages=numbered, name=name, **more)


CANONICAL = (
    _plan("entry", 8.0, [(1.0, BUY)]),
    _plan("exit", 14.0, [(1.0, BUY), (6.0, SELL)]),
    _plan("stop", 12.0, [(1.0, BUY)], events=[[6.0, "gap", "BTC", 0.85]]),
    _plan("thin book", 14.0, [(1.0, BUY)], depth=700),
    _plan("two assets in parts", 10.0, [(1.0, {"weights": {"BTC/USDT": 40.0, "ETH/USDT": 20.0}, "parts": 2})]),
    _plan("lost answer", 12.0, [(1.0, BUY)], script=["silent"]),
    _plan("nothing arrives", 30.0, [(1.0, BUY)], script=["lost", "lost", "lost"]),
    _plan("arrives too late", 36.0, [(1.0, BUY)], script=["late"]),
    _plan("zombie", 40.0, [(1.0, BUY)], script=["moved"], lag_ms=14_000),
    _plan("slow way", 16.0, [(1.0, BUY)], script=["tardy"], fence_ms=5_000, kills=[{"dies_by": ["daemon._watch_lag: clock.sleep / asyncio.sleep", 5]}]),
    _plan("slow way of a sale", 20.0, [(1.0, BUY), (6.0, SELL)], script=["", "tardy"], fence_ms=5_000,
          kills=[{"dies_by": ["daemon._watch_lag: clock.sleep / asyncio.sleep", 25]}]),
    _plan("halted, then two restarts", 24.0, [(1.0, BUY), (2.2, SELL), (3.4, BUY), (4.6, SELL), (5.8, BUY), (7.0, SELL), (18.0, BUY)],
          events=[[8.6, "order", "halt", "k1", False]], kills=[
              {"dies_by": ["daemon._carry_out: keeper.keep Halted / after_the_commit", 1]},
              {"dies_by": ["reconcile._read: venue.balances / answered", 1]}]),
    _plan("flatten, nothing arrives", 50.0, [(1.0, BUY)], script=["", "lost", "lost", "lost"], events=[[6.0, "order", "flatten", "k1", False]]),
    _plan("restart", 12.0, [(1.0, BUY)], kills=[{"dies_by": IN_FLIGHT}]),
    _plan("restart in recovery", 14.0, [(1.0, BUY)], script=["silent"], kills=[{"dies_by": IN_FLIGHT}, {"dies_in": ["recover", 12]}]),
    _plan("the power fails", 14.0, [(1.0, BUY), (6.0, SELL)], kills=[{"dies_by": IN_FLIGHT, "power": True}, {"dies_in": ["submit", 6], "power": True}]),
    _plan("halt", 10.0, [(1.0, BUY), (4.0, SELL)], events=[[1.04, "order", "halt", "k1", True]]),
    _plan("flatten", 16.0, [(1.0, BUY)], events=[[6.0, "order", "flatten", "k1", True]]),
    _plan("flatten in flight", 16.0, [(1.0, BUY)], events=[[1.06, "order", "flatten", "k1", False]]),
    _plan("kill switch", 10.0, [(1.0, BUY)], events=[[1.02, "order", "kill", "k1", False], [5.0, "order", "resume", "k2", True]]),
    _plan("by hand", 26.0, [(1.0, BUY)], events=[[5.0, "trade", "buy", "BTC", 100], [6.0, "trade", "rest", "ETH", 50], [19.0, "order", "adopt", "k1", False]]),
    _plan("adopted in the dark", 60.0, [(1.0, BUY)], events=[[5.0, "trade", "buy", "BTC", 100], [17.9, "dark", 12.0], [18.0, "order", "adopt", "k1", True]]),
    _plan("adopted in flight", 12.0, [(1.0, BUY)], lag_ms=3_000, events=[[1.5, "order", "adopt", "k1", False]]),
    _plan("two publications in part", 20.0, [
        (1.0, {"weights": {"BTC/USDT": 20.0}, "parts": 2, "lacks": "never"}), (1.5, {"BTC/USDT": 30.0}),
        (2.0, {"weights": BUY, "parts": 2, "lacks": "never"})], kills=[{"dies_in": ["intake", 48]}]),
    _plan("sold by hand", 40.0, [(1.0, BUY), (8.0, SELL)], events=[[5.0, "trade", "sell", "BTC", 400]]),
    _plan("old backup", 14.0, [(2.0, BUY)], events=[[0.9, "backup"]], kills=[{"dies_in": ["resolve", 6]}]),
    _plan("stands still", 70.0, [(1.0, BUY), (50.0, SELL)], events=[[1.03, "pause", 45.0, "other"]]),
    _plan("a twin", 12.0, [(1.0, BUY), (6.0, SELL)], events=[[1.03, "double", "twin"]]),
    _plan("out of reach", 110.0, [(1.0, BUY), (70.0, SELL)], events=[[3.0, "dark", 75.0]]),
    _plan("market closed", 30.0, [(1.0, BUY), (8.0, SELL)], events=[[7.0, "closed", "BTC", 12.0]]),
    _plan("clock ahead", 14.0, [(1.0, BUY), (6.0, SELL)], events=[[3.0, "jump", 3_600.0]]),
    _plan("clock back", 14.0, [(1.0, BUY), (6.0, SELL)], events=[[3.0, "jump", -3_600.0]]),
)  # fmt: skip


def canonical(venue):
    """The canonical stories at a venue."""
    return [replace(one, venue=venue) for one in CANONICAL]


def ends(plan):
    """Where the last life of a story may end: (await point, how often it came there)."""
    records = []
    story = tell(_fresh(plan), records=records)
    assert not story.broken, f"{plan.name}: {story.broken}"
    lives = records[0].lives
    life = lives[min(len(plan.kills), len(lives) - 1)]
    return [[point, n] for point, n in life.path if n <= TIMES and room_of(point) in ROOMS]


def single_kills(plan):
    """One plan for each place at which the last life of a story may end."""
    return [_fresh(plan, kills=[*plan.kills, {"dies_by": place}]) for place in ends(plan)]


def _fresh(plan, **more):
    return Plan.of(replace(plan, **more).text())
