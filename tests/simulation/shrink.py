"""Make a plan that fails small: leave out ends of lives, events, messages and kinds of trouble while it still fails in the same way."""

from dataclasses import replace

from tests.simulation.plan import Plan
from tests.simulation.run import told_apart

TRIES = 200


def shrunk(plan, *, tries=TRIES, fails=None):
    """The smallest plan that was found, and how it fails. fails: tells a plan, for tests; None = in a process of its own."""
    fails = fails or _fails
    broken = fails(plan)
    assert broken, "a plan that does not fail cannot be made small"
    kind, left = _kind(broken), tries
    while True:
        for smaller in _smaller(plan):
            if not left:
                return plan, broken
            left -= 1
            found = fails(smaller)
            if found and _kind(found) == kind:
                plan, broken = smaller, found
                break
        else:
            return plan, broken


def _fails(plan):
    return next(iter(told_apart([plan])))["broken"]


def _kind(broken):
    """What of a failure must stay the same: its words before the first detail."""
    return " ".join(word for word in broken.split()[:6] if not any(one.isdigit() for one in word))


def _smaller(plan):
    """Plans with less in them, those with much less first."""
    for name in ("chances", "events", "messages", "kills", "script"):
        if len(getattr(plan, name)) > 1:
            yield _without(plan, **{name: type(getattr(plan, name))()})
    for name in ("messages", "events", "kills"):
        rows = getattr(plan, name)
        if len(rows) > 3:
            yield _without(plan, **{name: rows[: len(rows) // 2]})
            yield _without(plan, **{name: rows[len(rows) // 2 :]})
    for name in ("kills", "events", "messages", "script"):
        rows = getattr(plan, name)
        for place in range(len(rows)):
            yield _without(plan, **{name: rows[:place] + rows[place + 1 :]})
    for name in plan.chances:
        yield _without(plan, chances={key: one for key, one in plan.chances.items() if key != name})
    for name, plain in (("lag_ms", 0), ("depth", 0), ("broker_holds", 0), ("minute", 0.33), ("skews", [0.0])):
        if getattr(plan, name) != plain:
            yield _without(plan, **{name: plain})


def _without(plan, **less):
    return Plan.of(replace(plan, **less).text())
