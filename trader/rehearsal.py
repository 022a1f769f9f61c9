"""Rehearsals: a loopback exchange to run a bot against, with things that go wrong on purpose."""

import asyncio
import json
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from trader.core.instants import SECOND, duration
from trader.demo import FEES, KEY, RULES, SECRET, markets_of
from trader.demo_vendor import KEY as KEY_OF_VENDOR
from trader.demo_vendor import vendor_of
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange
from trader.loopback.faults import Faults
from trader.loopback.mexc import MexcDialect
from trader.loopback.server import LoopbackServer, VenueClock
from trader.loopback.walk import Walk
from trader.output import write
from trader.yaml_source import YamlError, read

PRICES = {"BTC/USDT": "61200", "ETH/USDT": "3340", "BNB/USDT": "399.5", "SOL/USDT": "125.8", "XRP/USDT": "0.5880"}
STEP_SECONDS = 0.5
VENDOR_AT = datetime(
    2024, 3, 1, tzinfo=UTC
)  # the day of its data that the loopback vendor calls today: there PRICES are


class FaultsError(ValueError):
    """A script of faults, or a deposit, that cannot be used."""


@dataclass(frozen=True, slots=True)
class Script:
    """What goes wrong: faults of requests, and how the exchange itself behaves."""

    faults: Faults = field(default_factory=Faults)
    skew_ms: int = 0  # its clock is ahead of ours by
    list_lag_ms: int = 0  # lists show an order so late
    listen_key_ms: int = 3_600_000  # a listen key is good for
    repeats: str = "override"  # what a client id that is in use does


KEYS = "faults", "seed", "clock_skew", "list_lag", "listen_key", "repeats"
REPEATS = "override", "reject", "return"


def script_of(path: Path | None) -> Script:
    """The script in a YAML file: `faults:` with a list of rules, `seed:`, and how the exchange behaves."""
    if path is None:
        return Script()
    try:
        values = read(path).values
        rows, seed, repeats = values.get("faults", []), values.get("seed", 0), values.get("repeats", "override")
        strange = sorted(set(values) - set(KEYS))
        if strange:
            raise ValueError(f"{', '.join(strange)}: unknown; known are {', '.join(KEYS)}")
        if not isinstance(rows, list) or not isinstance(seed, int):
            raise ValueError("faults: is a list of rules, and seed: a whole number")
        if repeats not in REPEATS:
            raise ValueError(f"repeats: {repeats!r}: allowed are {', '.join(REPEATS)}")
        spans = {
            name: duration(str(values[key])) // (SECOND // 1_000)
            for key, name in (("clock_skew", "skew_ms"), ("list_lag", "list_lag_ms"), ("listen_key", "listen_key_ms"))
            if key in values
        }
        return Script(Faults.read(rows, seed=seed), repeats=str(repeats), **spans)
    except (YamlError, ValueError, TypeError) as error:
        raise FaultsError(f"{path}: {error}") from error


def deposits_of(text: str) -> dict[str, Decimal]:
    """`USDT=10000,BTC=0.1` as amounts."""
    try:
        pairs = (one.split("=") for one in text.split(",") if one)
        return {name.strip(): Decimal(amount) for name, amount in pairs}
    except (ValueError, InvalidOperation) as error:
        raise FaultsError(f"--deposit {text!r}: write ASSET=AMOUNT,..., such as USDT=10000,BTC=0.1") from error


async def serve_vendor(*, port: int, faults: Path | None, at: datetime | None) -> None:
    """Serve a vendor of ratings until a signal comes; its clock begins at an instant of its data."""
    real, stopped = time.time(), asyncio.Event()
    today = datetime.fromtimestamp(real, UTC)
    later = timedelta(0) if at is not None else timedelta(days=(today.date() - VENDOR_AT.date()).days)
    made, begin = vendor_of(later=later), real if at is None else at.timestamp()
    clock = VenueClock(wall=lambda: begin + time.time() - real)
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with LoopbackServer(made, clock, script_of(faults).faults, port=port) as server:
        print(  # noqa: T201
            f"tokenmetrics speaks at {server.url} (key {KEY_OF_VENDOR}; it is {at or today:%Y-%m-%d %H:%M} there; its ratings are"
            f" derived from prices of 2024{', moved to now' if at is None else ''}, no vendor's); Ctrl-C ends it", flush=True,
        )  # fmt: skip
        await stopped.wait()
    print(f"{sum(made.spent.values())} requests")  # noqa: T201


async def serve(
    venue: str, *, port: int, deposit: str, faults: Path | None, state: Path | None, at: datetime | None = None
) -> None:  # fmt: skip
    """Serve until a signal comes; then tell what is on the account."""
    if venue == "tokenmetrics":
        await serve_vendor(port=port, faults=faults, at=at)
        return
    fee_in, fee = FEES[venue]
    script = script_of(faults)
    exchange = Exchange(
        markets_of(sorted(RULES)),
        fee=Decimal(fee),
        fee_in=fee_in,
        list_lag_ms=script.list_lag_ms,
        repeats=script.repeats,
    )
    account = exchange.open_account(KEY, SECRET, deposits_of(deposit))
    clock, stopped = VenueClock(skew_ms=script.skew_ms), asyncio.Event()
    dialect = DIALECTS[venue](exchange)
    if isinstance(dialect, MexcDialect):
        dialect.listen_key_ms = script.listen_key_ms
    walk = Walk(exchange, {symbol: Decimal(price) for symbol, price in PRICES.items()})
    walk.past(clock.now_ms())
    walk.step(clock.now_ms())
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with LoopbackServer(dialect, clock, script.faults, port=port) as server:
        print(f"{venue} speaks at {server.url} (key {KEY}, secret {SECRET}); Ctrl-C ends it", flush=True)  # noqa: T201
        while not stopped.is_set():
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    await stopped.wait()
            except TimeoutError:
                walk.step(clock.now_ms())
    balances = {asset: str(held.available + held.locked) for asset, held in account.balances.items()}
    orders = [
        {"client_id": one.client_id, "symbol": one.market.symbol, "side": one.side, "filled": str(one.filled), "ended": one.ended}
        for one in account.orders
    ]  # fmt: skip
    found = {
        "balances": balances,
        "orders": orders,
        "requests": len(server.log),
        "unbalanced": bool(exchange.unbalanced()),
    }
    if state is not None:
        write(state, json.dumps(found, indent=2) + "\n")
    print(f"{len(orders)} orders; on the account: {', '.join(f'{v} {k}' for k, v in balances.items())}")  # noqa: T201
