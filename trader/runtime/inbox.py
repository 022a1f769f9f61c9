"""The inbox: judges each message at the door, once, and gathers the parts of a publication.

What is to be handled gets a receipt without an outcome; everything else a receipt that says how it ended. The receipt is written
before the sender is told that the message is ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from trader.core.facts import Fact, SignalsKnown
from trader.core.records import BatchClosed, SignalReceived
from trader.core.signals import MARKET, Signal
from trader.ports import Clock, Journal, Message, Notice, PayloadError

KEPT = 2_000  # characters of a message that is not handled


@dataclass(frozen=True, slots=True)
class Rules:
    """What may pass. `drift`: largest share by which the price may have moved since an event was issued."""

    ttl: timedelta = timedelta(minutes=15)
    drift: float | None = None
    future: timedelta = timedelta(seconds=60)
    max_age: timedelta | None = None  # of a rating or state, from what it describes
    gather: timedelta = timedelta(seconds=60)


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
        self._newest: dict[tuple[bool, str, str], datetime] = {}

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
            case SignalsKnown(is_rating=is_rating, signals=signals):
                for one in signals:
                    name = (is_rating, one.kind, one.asset)
                    self._newest[name] = max(one.as_of, self._newest.get(name, one.as_of))
            case _:
                pass

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
        key = f"{notice.source}/{notice.id or content[:32]}"
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
        strange = sorted({one.asset for one in notice.said} - self._assets)
        if len(strange) == len({one.asset for one in notice.said}):
            return "unknown_asset", f"not in the universe: {', '.join(strange[:5])}"
        if notice.batch is not None and _batch_key(notice) in self._closed:
            return "late", "its publication was handled without it"
        if notice.type == "event":
            if is_retained:
                return "retained", "an event that the broker kept is no news"
            return self._spent(notice, at)
        if rules.max_age is not None and all(at - one.as_of > rules.max_age for one in notice.said):
            return "stale", f"older than {rules.max_age}"
        is_rating = notice.type == "rating"
        newest = [self._newest.get((is_rating, one.kind, one.asset)) for one in notice.said]
        if all(last is not None and one.as_of < last for one, last in zip(notice.said, newest, strict=True)):
            return "out_of_order", "something newer is known of each of its assets"
        return "", f"left out, not in the universe: {', '.join(strange[:5])}" if strange else ""

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
            if one.asset in self._assets
        )
        return SignalsKnown(at, signals, notices[0].type == "rating", key)

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

    def overdue(self) -> list[Taken]:
        """Publications whose missing parts are not waited for any more."""
        now, at = self._clock.monotonic(), self._clock.now()
        names = [name for name, batch in self._batches.items() if batch.ends <= now or len(batch.parts) >= batch.count]
        closed = [self._close(name, at) for name in names]
        return [Taken((fact,), publication) for fact, publication in closed]

    def next_end(self) -> float | None:
        """The monotonic second at which something becomes overdue."""
        return min((batch.ends for batch in self._batches.values()), default=None)


def _batch_key(notice: Notice) -> str:
    assert notice.batch is not None
    return f"{notice.source}/batch:{notice.batch[0]}"


def _content(notice: Notice) -> str:
    """The digest of what is said, without the producer's id."""
    said = [(one.asset, one.kind, one.value, one.as_of.isoformat(), one.price) for one in notice.said]
    rest: Mapping[str, object] = {"at": notice.issued_at.isoformat(), "type": notice.type, "batch": notice.batch}
    return sha256(repr((notice.source, sorted(rest.items()), said)).encode()).hexdigest()
