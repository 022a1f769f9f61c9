"""Changing the configuration of a bot while it runs: what would change, what would follow, and the change itself between two turns.

All of it or nothing: it is written down, and then the parts are swapped without a pause in between, while nobody carries orders out and
no order is on its way. A process that dies in between begins anew with the file, and says so.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trader.adapters.paper_venue import PaperVenue
from trader.core.engine import Engine
from trader.core.facts import Fact, OrderPlaced, Refused, StrategyFailed
from trader.core.feed import Feed
from trader.core.instants import SECOND, duration, to_ns
from trader.core.orders import SENDING, STUCK, UNKNOWN
from trader.core.records import ConfigApplied
from trader.furnishing import Bench, Post
from trader.intake import rules_of
from trader.runtime import standing
from trader.runtime.control import Answer, Command
from trader.runtime.daemon import Daemon
from trader.runtime.desk import Desk
from trader.runtime.market import LEAST_KEPT
from trader.runtime.snapshots import give, program_of, state_of
from trader.settings import SettingsError
from trader.several_settings import Setup, load_setup
from trader.version import RESTART, Change, Version, changed, changes, engine_of, terms_of

OWN = ("name", "capital", "assets", "timeframe", "strategy", "limits", "account")  # what mounts differ in
WAIT_SECONDS = 10.0  # for whoever carries orders out to end a turn


def versions_of(setup: Setup, home: Path) -> dict[str, Version]:
    """The configuration of each mount, by its name."""
    return {one.settings.name: Version(one.settings, one.strategy, home) for one in setup.mounts}


def hash_of(versions: Mapping[str, Version]) -> str:
    """What tells two configurations apart."""
    return standing.hash_of({name: one.hash for name, one in versions.items()})


def changes_of(before: Mapping[str, Version], after: Mapping[str, Version], *, bars: Mapping[str, int]) -> list[Change]:
    """What differs, key by key; of several mounts by their names, and once where it concerns all. bars: how far back each can look."""
    if len(before) == len(after) == 1:
        (name, old), new = next(iter(before.items())), next(iter(after.values()))
        return changes(old, new, bars=bars[name])
    found: dict[str, Change] = {}
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            is_new = name not in before
            found[f"mounts.{name}"] = Change(
                f"mounts.{name}", None if is_new else "set to work", "set to work" if is_new else None, RESTART
            )
            continue
        for one in changes(before[name], after[name], bars=bars[name]):
            is_own = one.key.partition(".")[0] in OWN
            key = f"mounts.{name}.{one.key}" if is_own else one.key
            found.setdefault(key, Change(key, one.before, one.after, one.effect))
    return list(found.values())


@dataclass(slots=True)
class Reconfiguring:
    """The configuration of a running bot. `setup` is what counts; the file at `path` is what may come to count."""

    path: Path
    setup: Setup
    made: Bench
    daemon: Daemon | None = None
    now: dict[str, Version] = field(init=False)  # of each mount
    bars: dict[str, int] = field(init=False)  # how far back it was begun to look, by each
    adopted: Callable[[Setup], None] = lambda _setup: None
    _settles: dict[str, float] = field(init=False)  # what is known of each account's venue

    def __post_init__(self) -> None:
        self.now = versions_of(self.setup, self.path.parent)
        self._settles = {till.name: till.venue.settle_seconds for till in self.made.house.tills}
        self.bars = {name: max(one.strategy.wants.bars, LEAST_KEPT) for name, one in self.now.items()}

    def bind(self, daemon: Daemon, adopted: Callable[[Setup], None]) -> None:
        """Work for a daemon. adopted: told of each configuration that was applied."""
        self.daemon, self.adopted = daemon, adopted
        daemon.reconfigures = self.act

    async def act(self, command: Command) -> Answer:
        """Plan or apply, in the daemon's turn. The argument: of a plan, a file; of applying, the hash that was planned, or nothing."""
        is_plan = command.name == "plan"
        try:
            setup = load_setup(Path(command.argument) if is_plan and command.argument else self.path)
        except SettingsError as error:
            return {"ok": False, "error": f"the file is wrong, nothing was changed:\n{error}"}
        after = versions_of(setup, self.path.parent)
        found = changes_of(self.now, after, bars=self.bars)
        if is_plan:
            return self._plan(after, found)
        if command.argument and command.argument != hash_of(after):
            return {"ok": False, "error": f"{self.path} was changed after the plan; plan again"}
        if not found:
            return {"ok": True, "done": "nothing to apply", "state": self.made.house.state, "hash": hash_of(after)}
        return await self._apply(setup, found, "SIGHUP" if command.key == "SIGHUP" else "an operator")

    # Planning

    def _plan(self, after: Mapping[str, Version], found: Sequence[Change]) -> Answer:
        return {
            "ok": True, "file": str(self.path), "now": hash_of(self.now), "hash": hash_of(after),
            "changes": [{"key": one.key, "before": one.before, "after": one.after, "effect": one.effect} for one in found],
            "refused": self._refusals(found), "would": None if any(one.effect == RESTART for one in found) else self._would(after),
            "anyway": self._would(self.now),
        }  # fmt: skip

    def _would(self, versions: Mapping[str, Version]) -> dict[str, object]:
        """What would follow if each strategy were asked now, with what is held and known now; nothing is carried out."""
        each = [self._of_mount(desk, post, version) for desk, post, version in self._pairs(versions)]
        return {
            "orders": [order for one in each for order in one[0]], "refused": [refused for one in each for refused in one[1]],
            "failed": next((one[2] for one in each if one[2]), ""),
        }  # fmt: skip

    def _pairs(self, versions: Mapping[str, Version]) -> list[tuple[Desk, Post, Version]]:
        """Each desk with its post and a version; one mount is itself whatever it is called there."""
        rows = list(zip(self.made.house.desks, self.made.posts, strict=True))
        only = next(iter(versions.values())) if len(rows) == len(versions) == 1 else None
        return [(desk, post, only or versions[desk.name]) for desk, post in rows if only or desk.name in versions]

    def _of_mount(self, desk: Desk, post: Post, version: Version) -> tuple[list[object], list[object], str]:
        named = {"mount": desk.name} if len(self.made.posts) > 1 else {}
        try:
            facts = self.rehearsed(desk, post, version)
        except ValueError as error:  # a universe of other assets is no state to go on from
            return [], [], str(error)
        failed = [fact.error for fact in facts if isinstance(fact, StrategyFailed)]
        orders: list[object] = [
            {
                **named, "asset": fact.asset, "side": fact.side, "why": fact.why,
                "quantity": None if fact.quantity is None else str(fact.quantity), "spend": None if fact.spend is None else str(fact.spend),
            }
            for fact in facts if isinstance(fact, OrderPlaced)
        ]  # fmt: skip
        refused: list[object] = [
            {**named, "asset": fact.asset, "rule": fact.rule} for fact in facts if isinstance(fact, Refused)
        ]
        return orders, refused, failed[0] if failed else ""

    def rehearsed(self, desk: Desk, post: Post, version: Version) -> list[Fact]:
        """The facts that would follow; the running engine is not touched."""
        now = next(one for it, _, one in self._pairs(self.now) if it is desk)
        engine = _fresh(post, now)
        give(state_of(desk.engine), engine)
        engine.reconfigure(version.strategy, version.limits, terms_of(post.instruments, version.costs))
        return engine.rehearse(to_ns(desk.keeper.now()))

    def _refusals(self, found: Sequence[Change]) -> list[str]:
        """Why it could not be applied now."""
        bound = [one.key for one in found if one.effect == RESTART]
        reasons = [f"it needs a restart: {', '.join(bound)}"] if bound else []
        for track in [track for desk in self.made.house.desks for track in desk.waiting()]:
            if track.state in {SENDING, UNKNOWN, STUCK}:
                placed = track.placed
                reasons.append(
                    f"order {placed.order} ({placed.side} {placed.asset}) is {track.state}: wait until it is known"
                )
        return reasons

    # Applying

    async def _apply(self, setup: Setup, found: Sequence[Change], why: str) -> Answer:
        assert self.daemon is not None
        after, held = versions_of(setup, self.path.parent), list[asyncio.Lock]()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                for till in self.made.house.tills:
                    await till.hands.acquire()
                    held.append(till.hands)
            if reasons := self._refusals(found):
                return {"ok": False, "error": f"nothing was changed: {'; '.join(reasons)}"}
            await self._keep(after, why, [str(one) for one in found])
            self._swap(setup, after)
        except TimeoutError:
            return {"ok": False, "error": f"orders have been worked on for {WAIT_SECONDS:g} s; try again"}
        finally:
            for hands in held:
                hands.release()
        said = [str(one) for one in found]
        return {"ok": True, "done": "applied", "state": self.made.house.state, "hash": hash_of(after), "changes": said}

    async def _keep(self, versions: Mapping[str, Version], why: str, said: Sequence[str]) -> None:
        """Write down, in one commit, what counts of each mount whose values are others now."""
        keeper = self.made.house.keeper
        facts = [
            ConfigApplied(keeper.now(), desk.name, version.hash, version.values, self._own(desk, said), why)
            for desk, _, version in self._pairs(versions)
            if desk.configuration[0] != version.hash
        ]
        await keeper.keep(*facts)

    def _own(self, desk: Desk, said: Sequence[str]) -> tuple[str, ...]:
        """What concerns a mount of the changes of all, told as if it were the only one."""
        mine = f"mounts.{desk.name}."
        return tuple(one.removeprefix(mine) for one in said if one.startswith(mine) or not one.startswith("mounts."))

    def _swap(self, setup: Setup, after: dict[str, Version]) -> None:
        """Let every part go on with the new version: nothing is awaited here, so that nobody sees half of it."""
        house, daemon = self.made.house, self.daemon
        assert daemon is not None
        fresh = []
        for desk, post, version in self._pairs(after):
            desk.engine.reconfigure(version.strategy, version.limits, terms_of(post.instruments, version.costs))
            desk.reconfigure(version.execution)
            desk.outbox.refence(version.fence_ms)
            if isinstance(desk.venue, PaperVenue):
                desk.venue.charge(version.costs)
            fresh.append(_fresh(post, version))
        house.inbox.follow(rules_of(setup.whole))
        self.setup, self.now = setup, after
        self.settle()
        self.seek()
        daemon.program = program_of(*fresh)
        self.adopted(setup)

    def settle(self) -> None:
        """Within what time an order shows up in the lists of each venue."""
        for till in self.made.house.tills:
            chosen = next(one for desk, _, one in self._pairs(self.now) if desk in till.desks).settings.execution.settle
            till.venue.settle_seconds = self._settles[till.name] if chosen is None else duration(chosen) / SECOND

    def seek(self) -> None:
        """Of a clock's missed turns, only the last is made up for."""
        for desk, _, version in self._pairs(self.now):
            wants, feed = version.strategy.wants, desk.engine.market
            assert isinstance(feed, Feed)
            if wants.every is not None and wants.at is not None:
                feed.seek(to_ns(desk.keeper.now()) - duration(wants.every))

    async def note_start(self) -> None:
        """At a start: write down what counts of each mount, where it is not what was applied last."""
        for desk, _, version in self._pairs(self.now):
            known, values = desk.configuration
            if known != version.hash:
                said = tuple(str(one) for one in changed(values, version.values)) if values else ()
                at = desk.keeper.now()
                await desk.keeper.keep(ConfigApplied(at, desk.name, version.hash, version.values, said, "a start"))


def _fresh(post: Post, version: Version) -> Engine:
    """An engine of a mount that has not heard anything yet."""
    return engine_of(
        post.name, version.strategy, post.instruments, post.capital, limits=version.limits, costs=version.costs, market=post.hears
    )  # fmt: skip
