"""The inbox: judges each message at the door, once, and gathers the parts of a publication.

What is to be handled gets a receipt without an outcome; everything else a receipt that says how it ended. The receipt is written
before the sender is told that the message is ours.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from trader.core.facts import Fact, SignalsKnown
from trader.core.records import BatchClosed, SignalReceived
from trader.core.signals import MARKET, Signal
from trader.ports import Clock, Journal, Message, Notice, PayloadError, Said

KEPT = 2_000  # characters of a message that is not handled
AHEAD = timedelta(days=1)  # how far from now a datum may say that it describes: days have their names in many zones


@dataclass(frozen=True, slots=True)
class Rules:
    """What may pass. `drift`: largest share by which the price may have moved since an event was issued.

    trust: sources in the order of trust, for two that disagree; those that it does not name come after, by name.
    """

    ttl: timedelta = timedelta(minutes=15)
    drift: float | None = None
    future: timedelta = timedelta(seconds=60)
    max_age: timedelta | None = None  # of a rating or state, from what it describes
    gather: timedelta = timedelta(seconds=60)
    trust: tuple[str, ...] = ()


@dataclass(slots=True)
class Batch:
    """A publication of which parts are here."""

    count: int
    ends: float
    parts: dict[str, Notice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """A judged message: its receipt and what belongs to it, and the publication if one is complete with it."""

    receipts: tuple[Fact, ...]
    publication: SignalsKnown | None = None


class Inbox:
    """Judges messages. `read` understands bytes, `price` knows what an asset costs now, `assets` are the universe."""

    STATE = ("_batches", "_closed", "_newest")

    def __init__(
        self, read: Callable[[bytes], Notice], journal: Journal, clock: Clock, *, assets: frozenset[str], rules: Rules,
        price: Callable[[str], float | None],
    ) -> None:  # fmt: skip
        self._read, self._journal, self._clock = read, journal, clock
        self._assets, self._rules, self._price = assets | {MARKET}, rules, price
        self._batches: dict[str, Batch] = {}
        self._closed: set[str] = set()
        self._newest: dict[tuple[bool, str, str], tuple[datetime, str, float]] = {}  # what it describes, who said what
        self._ranks = {_name(source): place for place, source in enumerate(rules.trust)}

    def follow(self, rules: Rules) -> None:
        """Judge by these rules from now on; publications of which parts are here keep the time they were given."""
        self._rules, self._ranks = rules, {_name(source): place for place, source in enumerate(rules.trust)}

    def restored(self) -> None:
        """The state was set: what is waited for is waited for from now on."""
        for batch in self._batches.values():
            batch.ends = self._clock.monotonic() + self._rules.gather.total_seconds()

    def fold(self, fact: Fact) -> None:
        """Learn from a fact that was kept: parts that wait, publications that were handled."""
        match fact:
            case SignalReceived(outcome="", payload=payload, key=key) if "batch" in payload:
                notice = self._read_again(payload)
                if notice is not None and notice.batch is not None:
                    self._wait(key, notice)
            case BatchClosed(key=key):
                self._closed.add(key)
                self._batches.pop(key, None)
            case SignalsKnown(is_rating=is_rating, signals=signals, key=key):
                for one in signals:
                    self._learn((is_rating, one.kind, one.asset), (one.as_of, key.partition("/")[0], one.value))
            case _:
                pass

    def _learn(self, name: tuple[bool, str, str], said: tuple[datetime, str, float]) -> None:
        last = self._newest.get(name)
        if last is not None:
            if said[0] < last[0]:
                return
            if (said[0], said[2]) == (last[0], last[2]) and self._rank(last[1]) < self._rank(said[1]):
                return  # who only agrees does not take the place of who is trusted more
        self._newest[name] = said

    def _read_again(self, payload: str) -> Notice | None:
        try:
            return self._read(payload.encode())
        except PayloadError:  # the keys were changed since: it was authentic when it came
            return None

    async def take(self, message: Message) -> Taken:
        """Judge a message; raises JournalDownError where it cannot be asked whether it came before."""
        at, digest = self._clock.now(), sha256(message.body).hexdigest()
        text = message.body.decode(errors="replace")
        try:
            notice = self._read(message.body)
        except PayloadError as error:
            key = f"{error.outcome}:{digest}"
            outcome = "duplicate" if await self._journal.digest_of(key) is not None else error.outcome
            return Taken((SignalReceived(at, key, message.source, digest, outcome, error.why, text[:KEPT]),))
        content = _content(notice)
        key = f"{_name(notice.source)}/{notice.id or content[:32]}"
        known = await self._journal.digest_of(key)
        if known is not None:
            outcome, why = (
                ("duplicate", "") if known == content else ("conflict", "the same id said something else before")
            )
            return Taken((SignalReceived(at, key, message.source, content, outcome, why, text[:KEPT]),))
        outcome, why = self._judge(notice, at, is_retained=message.is_retained)
        receipt = SignalReceived(at, key, message.source, content, outcome, why, text if not outcome else text[:KEPT])
        if outcome:
            return Taken((receipt,))
        if notice.batch is None:
            return Taken((receipt,), self._publication(key, [notice], at))
        return self._gathered(receipt, notice, at)

    def _judge(self, notice: Notice, at: datetime, *, is_retained: bool) -> tuple[str, str]:
        """How a message that is new ends, or an empty outcome where it is to be handled."""
        rules = self._rules
        if notice.issued_at > at + rules.future:
            return "future", f"issued {(notice.issued_at - at).total_seconds():.0f} s from now"
        ahead = max(notice.said, key=lambda one: one.as_of)
        if (
            ahead.as_of > at + AHEAD
        ):  # it would count as the newest until then, and all that comes meanwhile as outdated
            return (
                "future",
                f"{ahead.asset} {ahead.kind} describes {ahead.as_of:%Y-%m-%d %H:%M}, more than a day from now",
            )
        strange = sorted({one.asset for one in notice.said} - self._assets)
        if len(strange) == len({one.asset for one in notice.said}):
            return "unknown_asset", f"not in the universe: {', '.join(strange[:5])}"
        if notice.batch is not None and _batch_key(notice) in self._closed:
            return "late", "its publication was handled without it"
        if notice.type == "event":
            if is_retained:
                return "retained", "an event that the broker kept is no news"
            outcome, why = self._spent(notice, at)
            return (outcome, why) if outcome else self._disputed(notice, strange)
        if rules.max_age is not None and all(at - one.as_of > rules.max_age for one in notice.said):
            return "stale", f"older than {rules.max_age}"
        newest = [self._standing(notice, one) for one in notice.said]
        if all(last is not None and one.as_of < last[0] for one, last in zip(notice.said, newest, strict=True)):
            return "out_of_order", "something newer is known of each of its assets"
        return self._disputed(notice, strange)

    # Sources that disagree

    def _standing(self, notice: Notice, one: Said) -> tuple[datetime, str, float] | None:
        """What is known of the same kind about the same asset: what it describes, who said it, the value."""
        return self._newest.get((notice.type == "rating", one.kind, one.asset))

    def _dispute(self, notice: Notice, one: Said) -> tuple[bool, str] | None:
        """Whether another source said something else of the same as_of: then who is trusted more, us or it, and in words."""
        last, source = self._standing(notice, one), _name(notice.source)
        if last is None or last[0] != one.as_of or last[1] == source or last[2] == one.value:
            return None
        is_ours = self._rank(source) < self._rank(last[1])
        told = f"{one.asset} {one.kind} of {one.as_of:%Y-%m-%d %H:%M}: {one.value:g} here, {last[2]:g} from {last[1]}"
        return is_ours, f"{told}, which is trusted {'less' if is_ours else 'more'}"

    def _rank(self, source: str) -> tuple[int, str]:
        return self._ranks.get(source, len(self._ranks)), source

    def _disputed(self, notice: Notice, strange: Sequence[str]) -> tuple[str, str]:
        """A conflict where another source is trusted more in everything; else what is left out, and what is overruled."""
        disputes = [(one.asset, self._dispute(notice, one)) for one in notice.said]
        lost = [found[1] for _, found in disputes if found is not None and not found[0]]
        told = [found[1] for _, found in disputes if found is not None]
        known = [asset for asset, _ in disputes if asset not in strange]
        if lost and len(lost) == len(known):
            return "conflict", "; ".join(lost[:5])
        notes = [f"left out, not in the universe: {', '.join(strange[:5])}"] if strange else []
        return "", "; ".join([*notes, *told[:5]])

    def _spent(self, notice: Notice, at: datetime) -> tuple[str, str]:
        rules = self._rules
        ttl = rules.ttl if notice.ttl_seconds is None else timedelta(seconds=notice.ttl_seconds)
        if at - notice.issued_at > ttl:
            return (
                "expired",
                f"{(at - notice.issued_at).total_seconds():.0f} s old, good for {ttl.total_seconds():.0f} s",
            )
        for one in notice.said:
            now = self._price(one.asset)
            if rules.drift is not None and one.price is not None and now is not None:
                if abs(now / one.price - 1) > rules.drift:
                    return "drifted", f"{one.asset} was {one.price:g} when it was issued and is {now:g}"
        return "", ""

    def _publication(self, key: str, notices: list[Notice], at: datetime) -> SignalsKnown:
        signals = tuple(
            Signal(one.asset, one.kind, one.value, one.as_of, at)
            for notice in notices
            for one in notice.said
            if one.asset in self._assets and not self._is_overruled(notice, one)
        )
        return SignalsKnown(at, signals, notices[0].type == "rating", key)

    def _is_overruled(self, notice: Notice, one: Said) -> bool:
        found = self._dispute(notice, one)
        return found is not None and not found[0]

    # Publications of several messages

    def _wait(self, key: str, notice: Notice) -> Batch:
        assert notice.batch is not None
        name = _batch_key(notice)
        ends = self._clock.monotonic() + self._rules.gather.total_seconds()
        batch = self._batches.setdefault(name, Batch(notice.batch[1], ends))
        batch.parts[key] = notice
        return batch

    def _gathered(self, receipt: SignalReceived, notice: Notice, at: datetime) -> Taken:
        batch = self._wait(receipt.key, notice)
        if len(batch.parts) < batch.count:
            return Taken((receipt,))
        closed, publication = self._close(_batch_key(notice), at)
        return Taken((receipt, closed), publication)

    def _close(self, name: str, at: datetime) -> tuple[BatchClosed, SignalsKnown]:
        batch = self._batches.pop(name)
        self._closed.add(name)
        notices = [batch.parts[key] for key in sorted(batch.parts)]
        return BatchClosed(at, name, len(batch.parts), batch.count), self._publication(name, notices, at)

    def overdue(self) -> Iterator[Taken]:
        """Publications whose missing parts are not waited for any more, each at an instant of its own: one instant is one wake."""
        now = self._clock.monotonic()
        names = [name for name, batch in self._batches.items() if batch.ends <= now or len(batch.parts) >= batch.count]
        for name in names:
            closed, publication = self._close(name, self._clock.now())
            yield Taken((closed,), publication)

    def next_end(self) -> float | None:
        """The monotonic second at which something becomes overdue."""
        return min((batch.ends for batch in self._batches.values()), default=None)


def _batch_key(notice: Notice) -> str:
    assert notice.batch is not None
    return f"{_name(notice.source)}/batch:{notice.batch[0]}"


def _name(source: str) -> str:
    """A source as keys begin with it: no slash is in it."""
    return source.replace("%", "%25").replace("/", "%2F")


def _content(notice: Notice) -> str:
    """The digest of what is said, without the producer's id."""
    said = [(one.asset, one.kind, one.value, one.as_of.isoformat(), one.price) for one in notice.said]
    rest: Mapping[str, object] = {"at": notice.issued_at.isoformat(), "type": notice.type, "batch": notice.batch}
    return sha256(repr((notice.source, sorted(rest.items()), said)).encode()).hexdigest()
