"""Rehearsals: a loopback exchange to run a bot against, with things that go wrong on purpose."""

import asyncio
import json
import signal
from decimal import Decimal, InvalidOperation
from pathlib import Path

from trader.demo import FEES, KEY, RULES, SECRET, markets_of
from trader.loopback.dialects import DIALECTS
from trader.loopback.exchange import Exchange
from trader.loopback.faults import Faults
from trader.loopback.server import LoopbackServer, VenueClock
from trader.loopback.walk import Walk
from trader.output import write
from trader.yaml_source import YamlError, read

PRICES = {"BTC/USDT": "61200", "ETH/USDT": "3340", "BNB/USDT": "399.5", "SOL/USDT": "125.8", "XRP/USDT": "0.5880"}
STEP_SECONDS = 0.5


class FaultsError(ValueError):
    """A script of faults, or a deposit, that cannot be used."""


def faults_of(path: Path | None) -> Faults:
    """The script in a YAML file: `faults:` with a list of rules, and `seed:`."""
    if path is None:
        return Faults()
    try:
        values = read(path).values
        rows, seed = values.get("faults", []), values.get("seed", 0)
        if not isinstance(rows, list) or not isinstance(seed, int):
            raise ValueError("faults: is a list of rules, and seed: a whole number")
        return Faults.read(rows, seed=seed)
    except (YamlError, ValueError, TypeError) as error:
        raise FaultsError(f"{path}: {error}") from error


def deposits_of(text: str) -> dict[str, Decimal]:
    """`USDT=10000,BTC=0.1` as amounts."""
    try:
        pairs = (one.split("=") for one in text.split(",") if one)
        return {name.strip(): Decimal(amount) for name, amount in pairs}
    except (ValueError, InvalidOperation) as error:
        raise FaultsError(f"--deposit {text!r}: write ASSET=AMOUNT,..., such as USDT=10000,BTC=0.1") from error


async def serve(venue: str, *, port: int, deposit: str, faults: Path | None, state: Path | None) -> None:
    """Serve until a signal comes; then tell what is on the account."""
    fee_in, fee = FEES[venue]
    exchange = Exchange(markets_of(sorted(RULES)), fee=Decimal(fee), fee_in=fee_in)
    account = exchange.open_account(KEY, SECRET, deposits_of(deposit))
    clock, stopped = VenueClock(), asyncio.Event()
    walk = Walk(exchange, {symbol: Decimal(price) for symbol, price in PRICES.items()})
    walk.past(clock.now_ms())
    walk.step(clock.now_ms())
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    async with LoopbackServer(DIALECTS[venue](exchange), clock, faults_of(faults), port=port) as server:
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
