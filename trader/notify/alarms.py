"""Alarms: what a status of the daemon, or its silence, says is wrong now, and since when.

A status is what `trader status --json` prints; what it does not say is no alarm, so that an older daemon can be watched.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from trader.notify.event import CRITICAL, WARNING, Alarm, code_in, harmless

DAEMON, JOURNAL = "daemon", "journal"
Status = Mapping[str, object]
_STATES = {"killed": CRITICAL, "halted": WARNING, "reducing": WARNING, "recovering": WARNING}
_FEEDS = {"troubled": WARNING, "stale-safe": WARNING, "stopped": CRITICAL}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each thing may be so before it is an alarm.

    drawdown: the share lost from the highest equity, None = not watched. dead: a venue's codes for a key that does not work.
    """

    silence: timedelta = timedelta(minutes=1)
    unknown: timedelta = timedelta(minutes=2)
    link: timedelta = timedelta(minutes=5)
    state: timedelta = timedelta(minutes=10)
    drawdown: float | None = None
    dead: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Worth:
    """What a mount was worth last, and at most."""

    mount: str
    equity: float
    peak: float


@dataclass(slots=True)
class Watch:
    """Remembers since when each thing is so; `since` is state, and kept over a restart."""

    patience: Patience = field(default_factory=Patience)
    since: dict[str, datetime] = field(default_factory=dict)
    STATE: ClassVar[tuple[str, ...]] = ("since",)

    def look(
        self, now: datetime, status: Status | None, worth: tuple[Worth, ...] = (), *, unread: str = ""
    ) -> dict[str, Alarm]:
        """The alarms that stand now; `status` None = the daemon did not answer, which leaves the rest undecided.

        unread: why the journal cannot be read, empty where it can.
        """
        found = _drawdown(now, worth, self.patience.drawdown)
        if status is None:
            wrong = {DAEMON: (CRITICAL, "the daemon does not answer", "no answer at its socket", self.patience.silence)}
            kept = {key: since for key, since in self.since.items() if key not in {DAEMON, JOURNAL}}
        else:
            wrong, kept = dict[str, tuple[str, str, str, timedelta]](), dict[str, datetime]()
            for part in (_state, _orders, _links, _feeds, _freshness, _shut):
                wrong |= part(status, self.patience)
        if unread:
            wrong[JOURNAL] = (CRITICAL, "the journal cannot be read", harmless(unread), self.patience.silence)
        self.since = kept | {key: self.since.get(key) or _began(key, status) or now for key in [*wrong, *found]}
        for key, (level, title, text, wait) in wrong.items():
            if now - self.since[key] >= wait:
                found[key] = Alarm(level, title, text, self.since[key])
        return {key: Alarm(one.level, one.title, one.text, self.since[key]) for key, one in found.items()}


def judged(status: Status | None) -> frozenset[str] | None:
    """The keys that a look can decide; None = all. A daemon that is silent says nothing of its orders and links."""
    return None if status is not None else frozenset({DAEMON, JOURNAL})


def is_well(status: Status | None) -> bool:
    """Whether the daemon answers, and its account was compared: what the outward dead man's switch waits for."""
    return status is not None and bool(status.get("ok")) and status.get("state") not in {"recovering", None}


Wrong = dict[str, tuple[str, str, str, timedelta]]


def _state(status: Status, patience: Patience) -> Wrong:
    state = str(status.get("state"))
    if state not in _STATES:
        return {}
    return {"state": (_STATES[state], f"state {state}", "it stays so until it is ended: trader status", patience.state)}


def _orders(status: Status, patience: Patience) -> Wrong:
    found: Wrong = {}
    for one in _list(status.get("orders")):
        if one.get("state") in {"unknown", "stuck"}:
            text = f"{one.get('side')} {harmless(one.get('asset'))} is {one.get('state')}: trader orders"
            number, mount = one.get("order"), harmless(one.get("mount") or "", 40)  # each mount numbers its own
            key, title = (
                (f"order:{mount}:{number}", f"order {number} of {mount}")
                if mount
                else (f"order:{number}", f"order {number}")
            )
            found[key] = (CRITICAL, title, text, patience.unknown)
    return found


def _links(status: Status, patience: Patience) -> Wrong:
    return {
        f"link:{name}": (WARNING, f"link {harmless(name, 40)} is down", harmless(one.get("why")), patience.link)
        for name, one in _map(status.get("links")).items()
        if one.get("is_up") is False
    }


def _feeds(status: Status, patience: Patience) -> Wrong:
    found: Wrong = {}
    for name, one in _map(status.get("sources")).items():
        state = str(one.get("state"))
        if state in _FEEDS:
            told = [f"{harmless(key, 40)}: {harmless(text, 80)}" for key, text in _texts(one.get("endpoints")).items()]
            text = "; ".join(told[:5]) or "its data is not fresh"
            found[f"feed:{name}"] = (_FEEDS[state], f"feed {harmless(name, 40)} is {state}", text, patience.link)
    return found


def _shut(status: Status, patience: Patience) -> Wrong:
    del patience
    return {
        f"shut:{asset}": (
            WARNING,
            f"{harmless(asset, 40)} is not traded",
            f"{harmless(why)}; what is held of it stays; it is looked for every minute",
            timedelta(0),
        )
        for asset, why in _texts(status.get("shut")).items()
    }


def _freshness(status: Status, patience: Patience) -> Wrong:
    found: Wrong = {}
    trouble, ago = str(status.get("trouble") or ""), status.get("reconciled_seconds_ago")
    if "refuses the key" in trouble or code_in(trouble, patience.dead) is not None:
        found["key"] = (CRITICAL, "the key is refused", harmless(trouble), timedelta(0))
    elif isinstance(ago, int | float) and ago > patience.unknown.total_seconds():
        text = f"not for {ago:.0f} s" + (f": {harmless(trouble)}" if trouble else "")
        found["compared"] = (CRITICAL, "the account is not compared", text, timedelta(0))
    market = status.get("market_seconds_ago")
    if isinstance(market, int | float) and market > patience.link.total_seconds():
        found["market"] = (WARNING, "no prices", f"the market was not heard for {market:.0f} s", timedelta(0))
    return found


def _drawdown(now: datetime, worth: tuple[Worth, ...], limit: float | None) -> dict[str, Alarm]:
    found = {}
    for one in worth:
        if limit is not None and one.peak > 0 and one.equity <= one.peak * (1 - limit):
            lost = 1 - one.equity / one.peak
            text = (
                f"{harmless(one.mount)} is {lost:.1%} under its highest equity ({one.equity:,.2f} of {one.peak:,.2f})"
            )
            found[f"drawdown:{one.mount}"] = Alarm(CRITICAL, "drawdown", text, now)
    return found


def _began(key: str, status: Status | None) -> datetime | None:
    """When the daemon itself says that a link went down."""
    if status is None or not key.startswith("link:"):
        return None
    said = _map(status.get("links")).get(key.removeprefix("link:"), {}).get("since")
    try:
        return datetime.strptime(str(said), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _list(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def _map(value: object) -> dict[str, Mapping[str, object]]:
    return {str(key): one for key, one in _texts(value).items() if isinstance(one, Mapping)}


def _texts(value: object) -> dict[str, object]:
    return {str(key): one for key, one in value.items()} if isinstance(value, Mapping) else {}
