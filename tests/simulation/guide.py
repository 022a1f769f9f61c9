"""What a proof tells next: trunks whose branches end lives where few ended so far, and among them those that lead to a state that was seldom met.

A family is a way to bend a drawn plan so that it comes to its states: `FAMILIES` names both. A state without one comes often enough by itself.
"""

from dataclasses import replace
from itertools import count
from random import Random

from tests.simulation.branches import Branches, ByChance
from tests.simulation.plan import Plan, drawn
from tests.simulation.reached import MUST_MEET

VENUES = ("gate", "mexc")
ENOUGH = 100  # how often each await point and each state is to be met in an hour
BUY, SELL = {"BTC/USDT": 40.0}, {"BTC/USDT": 0.0}


def _said(at, number, weights, **more):
    return [at, {"id": str(number), "weights": weights, **more}]


def _calm(plan, **most):
    """The same world with little trouble in it, except what is named."""
    chances = {name: min(one, 0.03) for name, one in plan.chances.items()}
    return replace(plan, chances={**chances, **most}, events=[], lag_ms=0, seconds=24.0, skews=[0.0], broker_holds=0)


def slow_disk(plan, lot):
    said = [_said(1.0 + 4.0 * n, n, {"BTC/USDT": lot.choice((0.0, 20.0, 40.0))}) for n in range(4)]
    return replace(_calm(plan, slow=0.5), fence_ms=400, messages=said)


def denied(plan, lot):
    return replace(_calm(plan, disk=0.2), messages=[_said(1.0 + 3.0 * n, n, (BUY, SELL)[n % 2]) for n in range(6)])


def short_of_cash(plan, lot):
    first, second = lot.choice((("BTC", "ETH"), ("ETH", "BTC")))
    said = [
        _said(1.0, 1, {f"{first}/USDT": 100.0}),
        *(_said(3.0 * n, n, {f"{second}/USDT": 100.0}) for n in range(2, 7)),
    ]
    return replace(_calm(plan), messages=said)


def backup(plan, lot):
    """A message, a copy of the journal, an order after it, and the copy comes back."""
    is_killed = lot.random() < 0.4
    events = [
        [4.0, "backup"],
        *([[1.5, "order", "kill", "k1", False], [5.0, "order", "resume", "k2", False]] if is_killed else []),
    ]
    ends = {"dies_in": [lot.choice(("resolve", "resolve", "submit")), lot.randrange(3, 12)]}
    return replace(
        _calm(plan), events=sorted(events), messages=[_said(8.0, 1, BUY), _said(11.0, 2, SELL)], kills=[ends]
    )


def zombie(plan, lot):
    """An order shows that was proven to be none: lists lagged, or the exchange carried it out when its time was over."""
    how = lot.choice((("moved", 14_000), ("risen", 500)))
    return replace(
        _calm(plan),
        seconds=40.0,
        lag_ms=how[1],
        fence_ms=400,
        messages=[_said(1.0, 1, BUY), _said(30.0, 2, BUY)],
        script=[how[0], "lost", "lost"],
    )


def stuck(plan, lot):
    return replace(
        _calm(plan), chances={}, seconds=620.0, lag_ms=614_000, messages=[_said(1.0, 1, BUY)], script=["silent"]
    )


def market_closed(plan, lot):
    events = [[0.9, "closed", "BTC", 5.0], [11.0, "closed", "BTC", 6.0]]
    said = [_said(1.0, 1, BUY), _said(7.0, 2, BUY), _said(12.0, 3, SELL)]
    return replace(_calm(plan), events=events, messages=said)


def nothing_arrives(plan, lot):
    return replace(
        _calm(plan, lost=lot.choice((0.02, 0.02, 0.1))),
        seconds=34.0,
        fence_ms=400,
        messages=[_said(1.0, 1, BUY), _said(14.0, 2, SELL)],
        script=lot.choice((["lost"], ["lost", "lost"], ["lost", "lost", "lost"], ["silent"], ["silent", "lost"])),
    )


def never_sent(plan, lot):
    """A buy that waits until it is too old: the exchange cannot be reached."""
    return replace(
        _calm(plan),
        seconds=112.0,
        events=[[1.05, "dark", 98.0]],
        messages=[_said(1.0, 1, BUY), _said(105.0, 2, BUY)],
        script=["lost"],
    )


def late(plan, lot):
    return replace(_calm(plan, late=0.1, hung=0.2), fence_ms=lot.choice((400, 5_000)), messages=[
        _said(1.0, 1, BUY), _said(6.0, 2, SELL), _said(12.0, 3, BUY)], script=lot.choice((["late"], ["tardy"], ["", "tardy"])))  # fmt: skip


def stopped(plan, lot):
    """A stop, in a thin book or not."""
    events = [[6.0, "gap", "BTC", lot.choice((0.8, 0.85))]]
    return replace(
        _calm(plan), depth=lot.choice((0, 700)), events=events, messages=[_said(1.0, 1, BUY), _said(14.0, 2, BUY)]
    )


def timed(plan, lot):
    """Holdings that leave after some seconds, in some stories while the machine stands still, or while an order of theirs is at the exchange."""
    hold = lot.choice((3.0, 6.0))
    events = (
        [[round(hold + lot.uniform(0.6, 1.2), 3), "pause", lot.choice((1.0, 3.0)), ""]] if lot.random() < 0.6 else []
    )
    said = [
        _said(1.0, 1, BUY),
        *(_said(round(hold + 0.75 + 0.04 * n, 3), n, {"ETH/USDT": 20.0}) for n in range(2, 15)),
        *([_said(round(hold + lot.uniform(0.8, 1.1), 3), 18, {"BTC/USDT": 20.0})] if lot.random() < 0.5 else []),
        _said(13.0, 19, BUY),
    ]
    return replace(_calm(plan, slow=lot.choice((0.0, 0.0, 0.2))), hold=hold, events=events, messages=said)


def thin(plan, lot):
    return replace(_calm(plan), depth=700, messages=[_said(1.0, 1, BUY), _said(10.0, 2, SELL)])


def operated(plan, lot):
    """Commands while orders are under way."""
    names = [lot.choice(("halt", "kill", "flatten", "adopt", "reconcile", "resume")) for _ in range(4)]
    events = [
        [round(1.0 + 4.0 * n + lot.uniform(0.0, 0.2), 3), "order", name, f"k{n}", lot.random() < 0.4]
        for n, name in enumerate(names)
    ]
    return replace(
        _calm(plan, silent=0.1), events=events, messages=[_said(1.0 + 4.0 * n, n, (BUY, SELL)[n % 2]) for n in range(5)]
    )


def flat(plan, lot):
    events = [[6.0, "order", "flatten", "k1", lot.random() < 0.5]]
    return replace(
        _calm(plan), seconds=50.0, events=events, messages=[_said(1.0, 1, BUY)], script=["", "lost", "lost", "lost"]
    )


def by_hand(plan, lot):
    """Somebody trades on the same account, also while an order of ours is under way."""
    kinds = [lot.choice(("buy", "sell", "rest")) for _ in range(4)]
    events = [
        [round(1.03 + 4.0 * n + lot.uniform(0.0, 0.08), 3), "trade", kind, lot.choice(("BTC", "ETH")), 100]
        for n, kind in enumerate(kinds)
    ]
    said = [_said(1.0 + 4.0 * n, n, (BUY, SELL)[n % 2]) for n in range(5)]
    return replace(_calm(plan), events=[*events, [21.0, "order", "adopt", "k1", False]], messages=said)


def spent(plan, lot):
    """Somebody spends the account's money, which an operator takes as right: what is bought then has none."""
    events = [[3.0, "trade", "buy", lot.choice(("BTC", "ETH")), 8_500], [11.0, "order", "adopt", "k1", False]]
    said = [_said(1.0, 1, {"ETH/USDT": 10.0}), *(_said(9.0 + 2.0 * n, n, (BUY, SELL)[n % 2]) for n in range(2, 9))]
    return replace(_calm(plan), seconds=28.0, events=events, messages=said, depth=0, mounts=2)


def two_lives(plan, lot):
    """A life that stands still, and another one that may take over."""
    what = lot.choice(("pause", "pause", "double"))
    second = lot.choice(("twin", "other"))
    event = [
        round(1.0 + lot.uniform(0.0, 0.2), 3),
        *(("pause", lot.choice((3.0, 45.0)), second) if what == "pause" else ("double", second)),
    ]
    return replace(
        _calm(plan), seconds=60.0, events=[event], messages=[_said(1.0, 1, BUY), _said(50.0, 2, SELL)], after=0.0
    )


def clocks(plan, lot):
    jump = [round(lot.uniform(1.0, 8.0), 3), "jump", lot.choice((3_600.0, -600.0, 8.0, -8.0))]
    return replace(_calm(plan), events=[jump], messages=[_said(1.0, 1, BUY), _said(6.0, 2, SELL), _said(12.0, 3, BUY)])


def messages(plan, lot):
    """Odd messages, one after the other."""
    odd = [{"again": True}, {"quarrel": True}, {"old": 40.0}, {"old": 3_600.0}, {"early": 3_600.0}, {"event": 60.0}, {"event": 2.0}, {"retained": True},
           {"raw": "{"}, {"parts": 2}, {"parts": 2, "lacks": "late"}, {"parts": 2, "lacks": "never"}, {"kind": "unheard_of"}]  # fmt: skip
    said = [_said(round(1.0 + 1.3 * n, 3), n, dict(BUY), **one) for n, one in enumerate(lot.sample(odd, 9))]
    said += [_said(13.5, 20, {"XYZ/USDT": 20.0}), _said(14.0, 21, {"BTC/USDT": 20.0, "ETH/USDT": 20.0}, parts=2)]
    return replace(_calm(plan, unacknowledged=0.2), messages=said)


def broker(plan, lot):
    events = [[5.0, "amnesia"], [9.0, "takeover"], [18.0, "reconnect"]]
    said = [_said(round(0.7 * n, 3), n, (BUY, SELL)[n % 2]) for n in range(1, 24)]
    return replace(_calm(plan, unacknowledged=0.2), events=events, messages=said, broker_holds=2)


def prices(plan, lot):
    events = [
        [3.0, "outlier", "BTC", 0.5],
        [7.0, "gap", "BTC", 0.85],
        [10.0, "freeze", 5.0],
        [16.0, "dark", 4.0],
        [18.0, "closed", "ETH", 3.0],
    ]
    return replace(_calm(plan), events=events, messages=[_said(1.0, 1, BUY), _said(12.0, 2, BUY)], minute=59.5)


def power(plan, lot):
    """The power fails within a commit."""
    room = lot.choice(("intake", "submit", "resolve", "recover"))
    return replace(
        _calm(plan),
        messages=[_said(1.0, 1, BUY), _said(6.0, 2, SELL)],
        kills=[{"dies_in": [room, lot.randrange(1, 20)], "power": True}],
    )


FAMILIES = {
    slow_disk: ("not sent: writing took too long",),
    denied: tuple(one for one in MUST_MEET if "kept and denied" in one),
    short_of_cash: (),
    backup: ("an old backup restored", "our own order unknown (amnesia)"),
    zombie: ("a zombie seen",),
    stuck: (),
    market_closed: ("a buy refused", "a sale refused and tried again", "a market closed", "order refused by the venue"),
    nothing_arrives: ("given up: absent", "absent, then a second attempt", "unknown, then absent", "the answer to an order lost"),
    never_sent: ("given up: expired", "state: recovering"),
    late: ("a late order stopped by its fence", "an order taken after its sender died", "ended after SENDING, before the bytes"),
    stopped: ("an exit hit", "an order of a stop sent"),
    timed: ("an exit hit",),
    thin: ("filled in part, then sent again", "a fill after a restart"),
    operated: ("command halt", "command resume", "command flatten", "command kill", "command adopt", "command reconcile", "a command repeated",
               "halted outlasts a restart", "state: killed", "a halt while an order is under way", "ended in: operate"),
    flat: ("flat again and again", "command flatten"),
    by_hand: ("a stranger's order seen", "a stranger's order open", "a discrepancy seen", "a discrepancy adopted", "state: reducing", "command adopt",
              "a person trades while an order of ours is under way"),
    spent: ("given up: account_cash", "a discrepancy adopted"),
    two_lives: ("a second start refused", "a process that lost its lease ends", "a paused life goes on", "a pause while an order is under way",
                "two lives, one of them paused", "a lease taken over after its end"),
    clocks: ("the clock jumps ahead", "the clock jumps back"),
    messages: (*(one for one in MUST_MEET if one.startswith(("at the door", "a batch"))), "ended: unwanted", "ended: no_change", "a message delivered again"),
    broker: ("the broker forgets what it held", "the broker's queue overflows", "somebody else has our name at the broker", "a message delivered again"),
    prices: ("a price far off", "a gap of the price", "prices stand still", "a bar closed", "a market closed", "the exchange out of reach"),
    power: ("a torn commit kept", "a torn commit lost"),
}  # fmt: skip
SINCE = {stuck: 599.0}  # before it nothing happens that others do not show
WHOLE = (power, two_lives)  # told from the beginning each time: what they are about is not in a branch


# await points that few stories come to, by how their names begin
LEADS = {
    "outbox.cut": short_of_cash, "desk._send: outbox.cut": short_of_cash, "desk._send: outbox.give_up": never_sent, "desk._send: outbox.give_up #2": short_of_cash,
    "desk._send: outbox.give_up #3": spent, "outbox.give_up": spent, "desk._send: there": market_closed, "desk._there": market_closed,
    "outbox.resolve: keep OrderStuck": stuck, "daemon._timers": timed, "daemon._events: timers": timed, "reconcile._halt: keeper.keep seen": backup,
    "telling.teach": slow_disk, "telling.tell": slow_disk, "telling.glance": stopped, "daemon._glance": stopped,
    "daemon._heard: glance": stopped, "outbox.send: keep OrderUnknown": slow_disk, "outbox.send: keep refused": market_closed,
    "outbox.resolve": nothing_arrives, "outbox._look": nothing_arrives, "desk._step: outbox.resolve": nothing_arrives, "outbox.recover": nothing_arrives,
    "recovery.recover": nothing_arrives, "reconcile._judge: keeper.keep foreign": by_hand, "reconcile._judge": zombie, "reconcile._halt": zombie,
    "reconcile.run: judge": zombie, "reconcile.run: outbox.book": thin, "reconcile._note": by_hand, "reconcile.run: note": by_hand,
    "reconcile.adopt": by_hand, "inbox.take: journal.digest_of": messages, "daemon._events: handle": messages, "daemon._handle": messages,
    "desk._send": thin, "desk._settle": thin, "outbox.settle": thin, "outbox.book": thin,
}  # fmt: skip


def families_of(name):
    """The families that lead to a state or an await point."""
    lead = max((one for one in LEADS if name.startswith(one)), key=len, default="")
    return [family for family, states in FAMILIES.items() if name in states] + ([LEADS[lead]] if lead else [])


def bent(family, number, venue):
    """The plan of a family, with the chance of a number."""
    plan = family(replace(drawn(number, venue), kills=[]), Random(f"{family.__name__} {number}"))
    is_whole = family in WHOLE
    after = 0.0 if is_whole else plan.after or Random(number).choice((2.0, 3.0, 5.0))
    kills = plan.kills if is_whole else [*plan.kills, {}]
    return Plan.of(replace(plan, kills=kills, after=after, name=family.__name__.replace("_", " ")).text())


def swarm(number, venue):
    """A drawn plan as a trunk."""
    return replace(drawn(number, venue), kills=[{}], after=Random(number).choice((2.0, 3.0, 5.0)))


def fixed(most):
    """Each family at both venues, with few branches: the same stories each time."""
    for number, (family, venue) in enumerate((family, venue) for family in FAMILIES for venue in VENUES):
        if family in WHOLE:
            yield from (bent(family, 10 * number + n, venue) for n in range(3))
        else:
            yield bent(family, number, venue), ByChance(seed=number, most=most, since=SINCE.get(family, 0.0))


def guided(tally, first=1):
    """What is told next, for ever: (plan, branches), or a plan that is told from its beginning. tally: what was told so far, as it is when asked."""
    ways = list(FAMILIES)
    for number in count(first):
        venue = VENUES[number % 2]
        yield swarm(number, venue), Branches(tally.ends, seed=number)
        yield drawn(number, venue)
        for family, aim in ((ways[number % len(ways)], ""), _needed(tally, 2 * number), _needed(tally, 2 * number + 1)):
            if family in WHOLE:
                yield from (bent(family, 10 * number + n, VENUES[n % 2]) for n in range(6))
            elif family is not None:
                since = SINCE.get(family, 0.0)
                yield bent(family, number, venue), Branches(tally.ends, seed=number, since=since, aim=aim)


def _needed(tally, number):
    """A family that leads to one of the states and await points that were met least, while any was met too seldom; and that await point."""
    times = {name: ends for name, (_, ends) in tally.wanted().items()} | tally.must_meet()
    least = [one for one in sorted(times, key=times.get) if times[one] < ENOUGH and families_of(one)]
    if not least:
        return None, ""
    name = least[number % min(len(least), 8)]
    ways = families_of(name)
    return ways[number % len(ways)], "" if name in MUST_MEET else name
