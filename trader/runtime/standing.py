"""How a house stands: its mounts, its measures, what it is worth, and how far below its best; for people, and machines that watch it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from resource import RUSAGE_SELF, getpagesize, getrusage
from typing import cast, get_args

from trader import __version__
from trader.core.facts import Fact
from trader.core.feed import Feed
from trader.core.orders import STUCK, UNKNOWN
from trader.ports import Reporting, Source
from trader.runtime.desk import Desk
from trader.runtime.house import House

MEMORY = Path("/proc/self/statm")


def status_of(
    house: House, *, line: int, room: int, links: Mapping[str, object], sources: Sequence[Source], lag: float
) -> dict[str, object]:
    """What is going on, for people and machines: of the house as a whole, and of each mount. `line` things wait where `room` may."""
    keeper, now = house.keeper, house.keeper.clock.monotonic()
    mounts = {desk.name: _of_desk(house, desk) for desk in house.desks}
    markets, tills = house.markets, house.tills
    good = [None if till.good_at is None else round(now - till.good_at, 1) for till in tills]
    return {
        "ok": True, "mount": house.name, "state": house.state, "epoch": keeper.epoch,
        "configuration": hash_of({desk.name: desk.configuration[0] for desk in house.desks})[:12], "strategy": ", ".join(dict.fromkeys(str(one["strategy"]) for one in mounts.values())),
        "cash": str(sum((cash_of(desk) for desk in house.desks), Decimal(0))), "holdings": _together(house.desks),
        "orders": [order for one in mounts.values() for order in cast("list[object]", one["orders"])],
        "in_line": line, "is_flattening": any(desk.is_flattening for desk in house.desks),
        "reconciled_seconds_ago": None if None in good else max(one for one in good if one is not None),
        "market_seconds_ago": max((round(now - market.heard_at, 1) for market in markets), default=None),
        "shut": {
            (asset if len(tills) == 1 else f"{till.name} {asset}"): why
            for till in tills for desk in till.desks for asset, why in desk.shut.items()
        },
        "off": {
            (code if len(tills) == 1 else f"{till.name} {code}"): str(amount)
            for till in tills for code, amount in till.reconciler.off.items() if amount
        },
        "streams": {
            "market": bool(markets) and all(market.is_streaming for market in markets),
            "account": all(till.stream.is_streaming for till in tills),
        },
        "links": links, "sources": {one.name: one.standing() for one in sources if isinstance(one, Reporting)},
        "loop_lag_seconds": round(lag, 3), "measures": measured(house, room),
        "trouble": "; ".join(till.trouble for till in tills if till.trouble), "mounts": mounts,
    }  # fmt: skip


def hash_of(hashes: Mapping[str, str]) -> str:
    """What tells two configurations apart, of the hashes of their mounts; one mount's is its own."""
    every = [hashes[name] for name in sorted(hashes)]
    return every[0] if len(every) == 1 else sha256("".join(every).encode()).hexdigest()


def _of_desk(house: House, desk: Desk) -> dict[str, object]:
    """How one mount stands."""
    equity, gate = worth(desk), desk.engine.gate
    highest = None if gate is None or equity is None else max(Decimal(str(gate.highest or 0)), equity)
    return {
        "state": desk.state, "account": house.till_of(desk).name, "strategy": type(desk.engine.strategy).__name__,
        "configuration": desk.configuration[0][:12], "is_flattening": desk.is_flattening, "halted": desk.engine.mount.halted,
        "shut": dict(desk.shut),
        "cash": str(cash_of(desk)), "equity": None if equity is None else str(equity),
        "drawdown": None if equity is None or not highest else round(float(1 - equity / highest), 6),
        "drawdown_limit": None if gate is None else gate.limits.drawdown,
        "holdings": {
            asset: {"quantity": str(one.quantity), "entry": str(one.entry), "target": _size(desk.engine.mount.targets.get(asset))}
            for asset, one in desk.engine.mount.ledger.holdings.items() if not one.is_flat
        },
        "orders": [
            {"mount": desk.name, "order": one.placed.order, "asset": one.placed.asset, "side": one.placed.side, "state": one.state}
            for one in desk.waiting()
        ],
    }  # fmt: skip


def _together(desks: Sequence[Desk]) -> dict[str, dict[str, str]]:
    """What is held of each asset by all mounts, at their average entry; a target is one mount's own, or all of them beside each other."""
    found: dict[str, list[tuple[Decimal, Decimal, str]]] = {}
    for desk in desks:
        for asset, one in desk.engine.mount.ledger.holdings.items():
            if not one.is_flat:
                target = _size(desk.engine.mount.targets.get(asset))
                found.setdefault(asset, []).append((Decimal(str(one.quantity)), Decimal(str(one.entry)), target))
    return {asset: _joined(rows) for asset, rows in found.items()}


def _joined(rows: Sequence[tuple[Decimal, Decimal, str]]) -> dict[str, str]:
    total = sum((quantity for quantity, _, _ in rows), Decimal(0))
    entry = rows[0][1] if len(rows) == 1 else sum((quantity * at for quantity, at, _ in rows), Decimal(0)) / total
    return {
        "quantity": str(total),
        "entry": str(entry) if len(rows) == 1 else f"{entry:.12g}",
        "target": " + ".join(target for _, _, target in rows),
    }


def cash_of(desk: Desk) -> Decimal:
    """The quote money of a mount."""
    return Decimal(str(desk.engine.mount.ledger.total_cash()))


def _size(target: object) -> str:
    return "0" if target is None else str(getattr(target, "size", target))


def measured(house: House, line: int) -> dict[str, object]:
    """What the process measured, and how the house stands now, as plain data; `line` is how many things may wait in it."""
    keeper, desks = house.keeper, house.desks
    unclear = {
        name: one for till in house.tills for name, one in till.outbox.live.items() if one.state in {UNKNOWN, STUCK}
    }
    each = [worth(desk) for desk in desks]
    equity = None if None in each else sum((one for one in each if one is not None), Decimal(0))
    best = _best(house, equity)
    gate = desks[0].engine.gate if len(desks) == 1 else None
    return {
        **keeper.measures.plain(), "version": __version__, "line": line,
        "facts": {kind.__name__: keeper.told[kind] for kind in get_args(Fact)},
        "unknown_seconds": round(keeper.measures.unknown_seconds(unclear), 1),
        "equity": None if equity is None else str(equity),
        "drawdown": None if equity is None or not best else round(max(float(1 - equity / best), 0.0), 6),
        "drawdown_limit": None if gate is None else gate.limits.drawdown,
        "cpu_seconds": round(sum(getrusage(RUSAGE_SELF)[:2]), 3), "memory_bytes": _memory(),
    }  # fmt: skip


def worth(desk: Desk) -> Decimal | None:
    """Cash and what is held at the last prices, in quote money; None where something held has no price."""
    mount, feed, market = desk.engine.mount, desk.engine.market, desk.market
    total = cash_of(desk)
    for asset, one in mount.ledger.holdings.items():
        if not one.quantity:
            continue
        price: object = None if market is None else market.price(asset)
        if price is None and isinstance(feed, Feed) and asset in feed.newest():
            price = feed.mark(asset)
        if price is None:
            return None
        total += Decimal(str(one.quantity)) * Decimal(str(price))
    return total


def _best(house: House, equity: Decimal | None) -> Decimal:
    """The highest equity: at a wake, as the limit on drawdown counts it, anew after a resume; else since this process was first asked."""
    measures, gate, now = house.keeper.measures, house.desks[0].engine.gate, equity or Decimal(0)
    if gate is not None and len(house.desks) == 1:
        return now if gate.highest is None else max(Decimal(str(gate.highest)), now)
    measures.best = max(measures.best, now)
    return measures.best


def _memory() -> int:
    """Bytes in memory now; 0 where the system does not say."""
    try:
        return int(MEMORY.read_text(encoding="ascii").split()[1]) * getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
