"""What happens in a world besides chance: messages, operators, a person who trades on the same account, clocks, pauses, prices, the broker.

Each is an event of a plan, `[when, what, ...]`, or a message `[when, {...}]`.
"""

import asyncio
import hashlib
from datetime import timedelta
from decimal import Decimal

from trader.adapters.payloads import compose
from trader.loopback.exchange import Refusal
from trader.ports import Balance
from trader.runtime.control import Command

D = Decimal
BY_HAND = "manual"


async def messages(world):
    """Publish the plan's messages at their times."""
    for at, said in world.plan.messages:
        await asyncio.sleep(max(at - world.loop.time(), 0.0))
        if world.is_hostile:
            publish(world, said)


def publish(world, said):
    """Publish one message, in its parts where it has some."""
    number, issued = said["id"], world.now() + timedelta(seconds=said.get("early", 0.0))
    if "raw" in said:
        body = said["raw"].encode()
        _send(world, f"raw/{number}", body, {f"malformed:{hashlib.sha256(body).hexdigest()}"})
        return
    is_event = "event" in said or "retained" in said
    common = {
        "source": "sim", "kind": said.get("kind", "weight"), "type_": "event" if is_event else "rating", "issued_at": issued,
        "as_of": world.now() - timedelta(seconds=said["old"]) if "old" in said else None,
        "ttl": timedelta(seconds=said["event"]) if "event" in said else None,
    }  # fmt: skip
    if said.get("parts"):
        items = list(said["weights"].items())
        for part in range(said["parts"]):
            values, batch = dict([items[part % len(items)]]), (f"b{number}", said["parts"])
            body = compose(**common, values=values, id_=f"{number}.{part}", batch=batch)
            if part == said["parts"] - 1 and said.get("lacks"):
                if said["lacks"] == "late":
                    world.loop.in_world(_later(world, f"sim/{number}.{part}", body))
                continue
            _send(world, f"sim/{number}.{part}", body)
        return
    body = compose(**common, values=said["weights"], id_=number)
    _send(world, f"sim/{number}", body, is_retained=bool(said.get("retained")))
    if said.get("again"):
        _send(world, f"again/{number}", body, {f"sim/{number}"})
    if said.get("quarrel"):
        other = compose(**common, values={"BTC/USDT": 1.0}, id_=number)
        _send(world, f"quarrel/{number}", other, {f"sim/{number}"})


async def _later(world, key, body, seconds=9.0):
    await asyncio.sleep(seconds)
    if world.is_hostile:
        _send(world, key, body)


def _send(world, key, body, names=None, *, is_retained=False):
    world.names[key] = {key} if names is None else names
    world.broker.publish(key, body, is_retained=is_retained)


async def events(world):
    """Let the plan's events happen at their times."""
    for at, what, *rest in world.plan.events:
        await asyncio.sleep(max(at - world.loop.time(), 0.0))
        if world.is_hostile:
            world.count(f"event {what}")
            world.loop.in_world(DEEDS[what](world, *rest))


# Operators


async def order(world, name, key, is_repeated=False):
    """An operator's command, repeated under its key until somebody answers; some are sent once more after that."""
    for _ in range(2 if is_repeated else 1):
        answer = await command(world, name, key)
        while answer is not None and not answer["ok"] and world.is_hostile:
            world.reach(f"command {name} put off")
            await asyncio.sleep(3.0)
            answer = await command(world, name, key)
        if answer is not None:
            if answer["ok"]:
                world.reach(f"command {name}")
            if name == "adopt" and answer["ok"]:
                _is_adopted(world, key)
            if answer.get("done") == "already":
                world.reach("a command repeated")
                if name not in {"adopt", "reconcile"} and key not in world.witness.commands:
                    world.blame(f"command {key} is said to be done and no fact knows it")


def _is_adopted(world, key):
    """Who was told that the account is adopted may rely on it, where nothing moves."""
    life = world.newest
    if (
        life is None
        or life.daemon is None
        or not life.daemon.house.is_quiet
        or world.loop.time() - world.traded_at < 8.0
    ):
        return
    balances = {
        name: Balance(held.available + held.locked, held.available) for name, held in world.account.balances.items()
    }
    off = life.daemon.reconciler.unexplained(balances)
    if off:
        world.blame(f"command {key} is done and the account is not adopted: {off}")


async def command(world, name, key="", seconds=60.0):
    """Ask whoever lives; None where nobody answered within the time."""
    end = world.loop.time() + seconds
    while world.loop.time() < end:
        life = world.newest
        if life is not None and life.daemon is not None and not life.is_paused:
            task = world.loop.in_life(life, life.daemon.act(Command(name, "", key)))
            waited = 0.0
            while not task.done() and not life.is_dead and waited < 20.0:
                await asyncio.sleep(0.2)
                waited += 0.2
            if task.done() and not task.cancelled() and task.exception() is None:
                return task.result()
        await asyncio.sleep(1.0)
    return None


# A person on the same account


async def trade(world, side, asset, money):
    """A trade by hand; `rest` leaves an order far from the price, to be taken out in the end by the same hand."""
    symbol, market = f"{asset}/USDT", world.exchange.markets[f"{asset}/USDT"]
    price = world.exchange.last[symbol]
    quantity = (D(money) / price) // market.lot * market.lot
    if side == "sell":
        mine = world.account.held(asset).available  # also what is not his: it happens
        quantity = min(quantity, mine // market.lot * market.lot)
    limit = (
        {"buy": price * D("1.02"), "sell": price * D("0.98"), "rest": price * D("0.5")}[side]
        // market.tick
        * market.tick
    )
    if quantity * limit < market.least:
        return
    try:
        world.exchange.place(
            world.account, symbol, "sell" if side == "sell" else "buy", quantity=quantity, limit=limit, spend=None,
            lasts="gtc" if side == "rest" else "ioc", client_id=f"{BY_HAND}-{len(world.account.orders)}", at_ms=world.now_ms(),
        )  # fmt: skip
        world.traded_at = world.loop.time()
        world.reach(f"a person trades: {side}")
        if any(life.is_busy() for life in world.alive()):
            world.reach("a person trades while an order of ours is under way")
    except Refusal:
        return


def by_hand(world):
    """The orders of a person."""
    return [one for one in world.account.orders if one.client_id.startswith(BY_HAND)]


def tidied(world):
    """In the end a person takes his orders out, and buys back what he sold of ours."""
    for one in by_hand(world):
        if one.is_open:
            world.exchange.cancel(one, world.now_ms())
    for asset in ("BTC", "ETH"):
        his = sum(
            (one.filled * (1 if one.side == "buy" else -1) for one in by_hand(world) if one.market.base == asset), D(0)
        )
        if his < 0:
            market = world.exchange.markets[f"{asset}/USDT"]
            ask = world.exchange.books[f"{asset}/USDT"][1]
            limit = (ask[0][0] if ask else world.exchange.last[f"{asset}/USDT"]) * D("1.2") // market.tick * market.tick
            try:
                world.exchange.place(
                    world.account, f"{asset}/USDT", "buy", quantity=-(his * D("1.01") // market.lot * market.lot) + market.lot, limit=limit,
                    spend=None, lasts="ioc", client_id=f"{BY_HAND}-{len(world.account.orders)}", at_ms=world.now_ms(),
                )  # fmt: skip
            except Refusal:
                continue


# Clocks and processes


async def jump(world, seconds):
    """The machine's clock is set."""
    world.wall_off += seconds
    world.reach(f"the clock jumps {'ahead' if seconds > 0 else 'back'}")


async def pause(world, seconds, second=""):
    """The newest life stands still, as with SIGSTOP or a suspended machine; perhaps another one is started beside it."""
    life = world.newest
    if life is None or life.is_paused:
        return
    was_busy = life.is_busy()
    world.loop.pause(life)
    world.reach("a pause while an order is under way" if was_busy else "a pause")
    await asyncio.sleep(0.1)
    if second and world.is_hostile:  # nobody starts a second bot any more when all is to heal
        world.begin(owner="sim" if second == "twin" else second)
        world.reach("two lives, one of them paused")
    await asyncio.sleep(seconds)
    world.loop.go_on(life)
    if not life.is_dead:
        world.reach("a paused life goes on")


async def double(world, second):
    """Somebody starts a second bot on the same journal."""
    if world.newest is not None:
        world.begin(owner="sim" if second == "twin" else second)
        world.reach(f"a second start: {second}")


async def backup(world):
    """A copy of the journal, which comes back at the end of the life."""
    if world.newest is not None:
        world.take_backup()


# The broker, prices, the exchange


async def amnesia(world):
    world.broker.forget()


async def takeover(world):
    world.broker.cut(6.0)
    world.reach("somebody else has our name at the broker")


async def reconnect(world):
    world.broker.cut()


async def outlier(world, asset, factor):
    """A price that is wrong for some seconds."""
    world.factors[f"{asset}/USDT"] = factor
    world.set_books()
    world.reach("a price far off")
    await asyncio.sleep(2.5)
    world.factors.pop(f"{asset}/USDT", None)
    world.exchange.set_price(
        f"{asset}/USDT", world.walk.prices[f"{asset}/USDT"], world.now_ms(), half_spread=D("0.0005")
    )


async def gap(world, asset, factor):
    """A price that is another one from now on."""
    symbol = f"{asset}/USDT"
    market = world.exchange.markets[symbol]
    world.walk.prices[symbol] = world.walk.prices[symbol] * D(repr(factor)) // market.tick * market.tick
    world.walk.step(world.now_ms())
    world.set_books()
    world.reach("a gap of the price")


async def freeze(world, seconds):
    """Prices stand still and streams have nothing to tell."""
    world.is_frozen = True
    world.reach("prices stand still")
    await asyncio.sleep(seconds)
    world.is_frozen = False


async def closed(world, asset, seconds):
    """A market takes no orders for a while."""
    from dataclasses import replace

    symbol = f"{asset}/USDT"
    sound = world.exchange.markets[symbol]
    world.exchange.markets[symbol] = replace(sound, status="untradable")
    world.reach("a market closed")
    await asyncio.sleep(seconds)
    world.exchange.markets[symbol] = sound


async def dark(world, seconds):
    """Nothing reaches the exchange for a while."""
    world.is_dark = True
    world.reach("the exchange out of reach")
    await asyncio.sleep(seconds)
    world.is_dark = False


DEEDS = {
    "order": order, "trade": trade, "jump": jump, "pause": pause, "double": double, "amnesia": amnesia, "takeover": takeover,
    "reconnect": reconnect, "outlier": outlier, "gap": gap, "freeze": freeze, "closed": closed, "dark": dark, "backup": backup,
}  # fmt: skip
