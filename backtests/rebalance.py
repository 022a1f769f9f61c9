"""Rebalance: a decision about several assets, sized at one close and dealt at the opens of the same instant, in one go.

The same rules in the same order as the engine's `state` and the venue's `trade`, through the same sizing and booking, less
what cannot be the case here. It looks before it touches anything: what could be held back, cut or left is the engine's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trader.core.book import book_dealt, book_lapse, book_target
from trader.core.facts import SIDES, Filled, Many, OrderClosed, OrderPlaced, TargetSet
from trader.core.ledger import QUOTE
from trader.core.sizing import Missing, missing
from trader.core.strategy import NOTHING, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from backtests.player import Player
    from trader.core.facts import Row
    from trader.core.instruments import Number, Terms
    from trader.core.strategy import Decision
    from trader.core.view import View

    Lane = tuple[int, int, int, Callable[[int], float], Callable[[int], float], Terms]
    Step = tuple[str, Target, Missing | None, str, Lane]  # an asset, its target, the order for it and why
    Deal = tuple[Step, Number, Number]  # an order's step, price and fee


def fits(player: Player) -> bool:
    """Whether a replay may have such decisions: binary numbers, one market, no limits, fills at once, fees in quote money."""
    engine, mount = player.engine, player.mount
    return (
        engine.dealer is not None
        and player.is_plain
        and engine.gate is None
        and len(mount.ledger.cash) == 1
        and len(player.panel.names) > 1
        and all(len(every) == 1 and not every[0].fee_received for every in mount.terms.values())
    )


class Rebalance:
    """Carries out such decisions for one replay."""

    def __init__(self, player: Player) -> None:
        panel, mount = player.panel, player.mount
        self.engine, self.mount, self.history, self.venue = player.engine, mount, player.history, player.venue
        self.size, (self.where,) = player.size, mount.ledger.cash
        closes, opens = panel.readers["close"], panel.readers["open"]
        # by asset without holes: its number, its first and last bar, its closes, its opens, its terms
        self.lanes: dict[str, Lane] = {
            name: (at, first, last, closes[at], opens[at], mount.terms[name][0])
            for at, (name, first, last, is_dense) in enumerate(zip(panel.names, *panel.spans(), strict=True))
            if is_dense
        }

    def __call__(self, leaving: Sequence[str], decision: Decision, view: View) -> bool:
        """Close some, carry out the targets, and deal all of it; False, and nothing has changed, where that cannot be done."""
        mount, history = self.mount, self.history
        bar = history.bar
        if not history.is_close or bar + 1 >= self.size or history.delisted or mount.exiting or mount.halted:
            return False
        steps = self._sized(leaving, decision.targets, view.equity, bar)
        deals = None if steps is None else self._dealt(steps, bar + 1)
        if steps is None or deals is None:
            return False
        self._book(steps, deals, bar + 1, view.now_ns)
        return True

    def _sized(
        self, leaving: Sequence[str], targets: Mapping[str, object], equity: Number, bar: int
    ) -> list[Step] | None:
        """The orders that are missing; None where one of them is not plain."""
        holdings, lanes, number = self.mount.ledger.holdings, self.lanes, self.engine.number
        wishes: Iterable[tuple[str, object]] = targets.items()
        if leaving:
            wishes = [*((asset, NOTHING) for asset in leaving), *wishes]
        steps: list[Step] = []
        for asset, wish in wishes:
            lane = lanes.get(asset)
            if lane is None or bar < lane[1] or bar >= lane[2]:
                return None
            target = wish if wish.__class__ is Target else Target(wish)  # type: ignore[arg-type]
            size, _, _, why = target
            if size.__class__ is not float:
                return None
            holding, held = holdings.get(asset), 0.0
            is_flat = holding is None or holding.is_flat
            if holding is not None:
                held = holding.quantity
            if not size:
                target, why = NOTHING, why or "leave"
                if is_flat:
                    steps.append((asset, target, None, why, lane))
                    continue
            order = missing(target, held, lane[3](bar), equity, lane[5], number, is_flat=is_flat)
            if order.__class__ is not str:
                steps.append((asset, target, order, why or "target", lane))  # type: ignore[arg-type]
            elif order in {"no_change", "band"}:
                steps.append((asset, target, None, why, lane))
            else:
                return None
        return steps

    def _dealt(self, steps: list[Step], bar: int) -> list[Deal] | None:
        """Prices and fees of the orders, sells first; None where the cash does not pay for a buy."""
        venue, tariff = self.venue, self.venue.tariff
        share, short, cash = tariff.fee, venue.short, self.mount.ledger.cash[self.where]
        with_fee = tariff.one + share
        sells: list[Deal] = []
        buys: list[Deal] = []
        for step in steps:
            if step[2] is not None and step[2][0] < 0:
                quantity, lane = step[2][1], step[4]
                price = tariff.price(lane[4](bar), -1, lane[5])
                value = quantity * price  # type: ignore[operator]  # an order without a quantity is a Quote's
                fee = value * share
                cash = cash + value - fee
                sells.append((step, price, fee))
        for step in steps:
            if step[2] is not None and step[2][0] > 0:
                quantity, lane = step[2][1], step[4]
                price = tariff.price(lane[4](bar), 1, lane[5])
                value = quantity * price  # type: ignore[operator]
                if value * with_fee > cash + short:
                    return None
                fee = value * share
                cash = cash - value - fee
                buys.append((step, price, fee))
        return sells + buys

    def _book(self, steps: list[Step], deals: list[Deal], bar: int, at: int) -> None:
        """Book the targets, then the deals, and note both."""
        mount, engine, log = self.mount, self.engine, self.venue.log
        cash, where, note = mount.ledger.cash, self.where, log.fills.append
        news: list[bool] = []
        begin = mount.orders_made
        for asset, target, order, _, _ in steps:
            news.append(book_target(mount, asset, target))
            if target.exits:
                engine.exits_seen = True
            if order is None:
                if target.size:
                    book_lapse(mount, asset)
            else:
                mount.orders_made += 1
        for (asset, _, order, _, lane), price, fee in deals:
            side, quantity, _ = order  # type: ignore[misc]
            book_dealt(mount, asset, where, side, quantity, price, fee, QUOTE, at)  # type: ignore[arg-type]
            note((bar, lane[0], quantity if side > 0 else -quantity, cash[where]))  # type: ignore[arg-type,operator]
        log.at_once += len(deals)
        if deals and self.venue.on_fill is not None:
            self.venue.on_fill(at)
        engine.record.append((Many, partial(_rows, mount.name, where, begin, at, steps, news, deals)))


def _rows(
    mount: str, where: str, number: int, at: int, steps: list[Step], news: list[bool], deals: list[Deal]
) -> list[Row]:
    rows: list[Row] = []
    numbers: dict[str, int] = {}
    for (asset, target, order, why, _), is_news in zip(steps, news, strict=True):
        if is_news:
            rows.append((TargetSet, at, mount, asset, target.size, target.exits, target.why))
        if order is not None:
            number += 1
            numbers[asset] = number
            side, quantity, _ = order
            rows.append((OrderPlaced, at, mount, number, asset, where, SIDES[side], quantity, None, why))
    for (asset, _, order, why, _), price, fee in deals:
        side, quantity, _ = order  # type: ignore[misc]
        head = at, mount, numbers[asset]
        rows.append((Filled, *head, asset, where, SIDES[side], quantity, price, fee, QUOTE, why))
        rows.append((OrderClosed, *head, asset, "filled"))
    return rows
