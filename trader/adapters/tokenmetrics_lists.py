"""Lists of Token Metrics: moonshots, which begin and end, and what an index holds. A list speaks by what is no longer on it, too.

A moonshot carries no token id in v2, and a ticker names several tokens: it is one of ours only where name and symbol are those of one token and
that one is mapped. Weights are shares here, whatever unit they come in; a sum that does not fit the configured unit refuses them all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trader.adapters.tokenmetrics_fields import Aside, Page, Row
from trader.adapters.tokenmetrics_signals import MOONSHOT, SOURCE
from trader.core.observations import DAY, RATING, STATE, Observation, seen

WHOLE: Mapping[str, float] = {"percent": 100.0, "fraction": 1.0}
HAIR = 0.02  # by how much a sum of weights may miss the whole
Names = Mapping[tuple[str, str], frozenset[int]]


@dataclass(slots=True)
class Heard:
    """What a list says, and what it says of strangers."""

    said: list[Observation] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)


def names_of(rows: Iterable[Row]) -> Names:
    """Which tokens have a name and a symbol, spelt alike."""
    found: dict[tuple[str, str], frozenset[int]] = {}
    for row in rows:
        if row.token_id is not None:
            key = _spelt(row)
            found[key] = found.get(key, frozenset()) | {row.token_id}
    return found


def _spelt(row: Row) -> tuple[str, str]:
    return " ".join(str(row.values.get("TOKEN_NAME") or "").split()).casefold(), row.symbol.strip().casefold()


def _token(row: Row, names: Names, assets: Mapping[int, str]) -> int:
    """The token of a moonshot; raises LookupError with the reason where it is none of ours, or might be another."""
    if row.token_id is not None:
        if row.token_id not in assets:
            raise LookupError(f"token {row.token_id} is not mapped")
        return row.token_id
    key = _spelt(row)
    found = names.get(key, frozenset()) if all(key) else frozenset()
    if len(found) > 1:
        raise LookupError(
            f"{len(found)} tokens have this name and symbol ({', '.join(map(str, sorted(found)))}): it could be any of them"
        )
    if not found & set(assets):
        alike = sorted(
            assets[token] for (_, symbol), ids in names.items() if symbol == key[1] for token in ids & set(assets)
        )
        raise LookupError(
            f"{alike[0]} has this symbol and another name" if alike else "no mapped asset has this name and symbol"
        )
    return next(iter(found))


def moonshots_of(
    active: Page, past: Page | None, names: Names, assets: Mapping[int, str], standing: Mapping[str, Observation], *,
    now: datetime, absent: set[str],
) -> Heard:  # fmt: skip
    """What began and what ended since `standing`, the newest state of each asset. `absent` are those that were missed on the list last time.

    A begin describes MOONSHOT_AT. An end describes MOONSHOT_END_AT, or now where that is older than a day or not told: what has left the list
    without an end counts as over when it is missing twice, as an answer may be short by mistake.
    """
    heard = Heard()
    on, ended = dict[str, Row](), dict[str, datetime]()
    for page in (active, past or Page(())):
        for row in page.rows:
            end = row.values.get("MOONSHOT_END_AT")
            try:
                asset = assets[_token(row, names, assets)]
            except LookupError as error:
                if page is active:
                    heard.aside.append(_stranger(row, str(error)))
                continue
            if isinstance(end, datetime) and end <= now:
                ended[asset] = max(end, ended.get(asset, end))
            elif page is active and row.as_of is not None and row.as_of <= now:
                on[asset] = max(on.get(asset, row), row, key=lambda one: one.as_of or now)
    for asset, row in sorted(on.items()):
        before, begin = standing.get(asset), row.as_of or now
        if before is None or begin > before.as_of or not before.value:
            heard.said.append(_state(asset, begin if before is None or begin > before.as_of else now, 1.0, now))
    mapped = set(assets.values())  # of what is left out, as doubtful or out of the file, nothing is said
    missing = {asset for asset, one in standing.items() if one.value and asset not in on and asset in mapped}
    for asset in sorted(missing):
        begin, over = standing[asset].as_of, ended.get(asset)
        if over is not None and over >= begin:
            heard.said.append(_state(asset, over if now - over <= DAY and over > begin else now, 0.0, now))
        elif asset in absent and not active.aside:
            heard.said.append(_state(asset, now, 0.0, now))
    absent.clear()
    absent |= missing
    return heard


def _state(asset: str, as_of: datetime, value: float, now: datetime) -> Observation:
    return seen(
        source=SOURCE, kind=MOONSHOT, type_=STATE, asset=asset, as_of=as_of, value=value, observed_at=now, lag=timedelta(0),
        is_history=False, period=timedelta(0),
    )  # fmt: skip


def _stranger(row: Row, why: str) -> Aside:
    name, at = row.values.get("TOKEN_NAME"), row.values.get("MOONSHOT_AT")
    payload = {"TOKEN_NAME": name, "TOKEN_SYMBOL": row.symbol, "TOKEN_ID": row.token_id, "MOONSHOT_AT": at}
    return Aside("moonshots", f"moonshot {name} ({row.symbol}): {why}", payload)


def holdings_of(
    page: Page, index: int, kind: str, assets: Mapping[int, str], standing: Mapping[str, Observation], *, unit: str, now: datetime
) -> Heard:  # fmt: skip
    """The weights of an index as shares of 1; what it held and holds no longer gets 0. Strangers are named with their weight."""
    heard = Heard()
    dates = [row.as_of for row in page.rows if row.as_of is not None]
    if not dates:
        return heard
    as_of = max(dates)
    rows = [row for row in page.rows if row.as_of == as_of]
    weights = [_weight(row) for row in rows]
    total, whole = sum(weights), WHOLE[unit]
    if abs(total / whole - 1) > HAIR or min(weights) < 0:
        heard.aside.append(_refused(rows, weights, index, as_of, unit, unread=len(page.aside)))
        return heard
    if any(one.as_of > as_of for one in standing.values()):  # an older publication than the one that is known
        return heard
    shares = dict[str, float]()
    for row, weight in zip(rows, weights, strict=True):
        asset = assets.get(row.token_id or 0)
        if asset is not None:
            shares[asset] = weight / whole
        elif weight:
            payload = {"index": index, "TOKEN_ID": row.token_id, "TOKEN_NAME": row.values.get("TOKEN_NAME")}
            why = f"index {index} holds {weight / whole:.2%} of {row.values.get('TOKEN_NAME')} ({row.symbol}, token {row.token_id}), which is not mapped"
            heard.aside.append(Aside("indices_holdings", why, payload))
    mapped = set(assets.values())  # of what is left out, as doubtful or out of the file, nothing is said
    gone = {asset: 0.0 for asset, one in standing.items() if one.value and asset not in shares and asset in mapped}
    for asset, share in sorted((shares | gone).items()):
        heard.said.append(
            seen(
                source=SOURCE, kind=kind, type_=RATING, asset=asset, as_of=as_of, value=share, observed_at=now, lag=timedelta(0),
                is_history=False, period=timedelta(0),
            )
        )  # fmt: skip
    return heard


def _weight(row: Row) -> float:
    value = row.values.get("WEIGHT")
    return float(value) if isinstance(value, int | float) else 0.0


def _refused(
    rows: Sequence[Row], weights: Sequence[float], index: int, as_of: datetime, unit: str, *, unread: int
) -> Aside:  # fmt: skip
    total = sum(weights)
    other = next((name for name, whole in WHOLE.items() if name != unit and abs(total / whole - 1) <= HAIR), None)
    help_ = (
        f"that is a {other}: say weight_unit: {other}"
        if other == "fraction"
        else f"that is {other}: say weight_unit: {other}"
    )
    if other is None or min(weights) < 0:
        help_ = "that is neither percent nor a fraction of a whole" + (
            f", and {unread} rows could not be read" if unread else ""
        )
    why = f"index {index} of {as_of:%Y-%m-%d}: {len(rows)} weights sum to {total:g}, and weight_unit: is {unit}; {help_}. None was taken"
    return Aside("indices_holdings", why, {"index": index, "DATE": as_of, "sum": round(total, 4)})
