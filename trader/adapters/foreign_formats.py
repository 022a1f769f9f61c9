"""The formats of other services: how each is recognised, where its secret stands, and what it claims.

Each reader is a pure function of the fields. A signal here says long (over 0) or out (0 or under); sizes, targets and stops are the
strategy's, so they are left out by name. What cannot be said that way is refused rather than bent.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trader.adapters.foreign_fields import Fields
from trader.core.instants import SECOND, duration
from trader.ports import PayloadError

SIZES = "sizes, stops and targets are the strategy's"
WEEK = timedelta(days=7)
LONG, OUT, SHORT = 1.0, 0.0, -1.0
POSITIONS = {"long": LONG, "flat": OUT, "short": SHORT}
SHORTED = "short is out here: only spot is traded"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message says, before its symbol is an asset. `is_unique`: its content has an id or an instant of its own."""

    symbols: tuple[str, ...]
    value: float
    type: str = "event"
    kind: str | None = None
    at: datetime | None = None
    ttl: timedelta | None = None
    price: float | None = None
    is_unique: bool = False
    is_quote_first: bool = False
    is_code: bool = False  # the symbols are parts of a code, one of which may be a secret
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """A format: `looks_for` in words, `secrets` are the keys that may hold one, `fits` recognises, `claim` reads."""

    name: str
    what: str
    looks_for: str
    secrets: tuple[str, ...]
    fits: Callable[[Fields], bool]
    claim: Callable[[Fields], Claim]
    left_out: Mapping[str, str] = field(default_factory=dict)


def _one_of(key: str, said: str, allowed: Mapping[str, float]) -> float:
    if said not in allowed:
        raise PayloadError("malformed", f"{key}: none of {', '.join(allowed)}")
    return allowed[said]


def _noted(value: float, *notes: str) -> tuple[str, ...]:
    return tuple(note for note in (*notes, SHORTED if value < 0 else "") if note)


# TradingView, in the words of our own template

TV_ACTIONS = {
    "buy": LONG, "long": LONG, "sell": OUT, "exit": OUT, "close": OUT, "flat": OUT, "short": SHORT,
}  # fmt: skip
TYPES = ("rating", "state", "event")


def _is_tradingview(fields: Fields) -> bool:
    return fields.shape == "json" and fields.has("ticker") and any(map(fields.has, ("action", "position", "value")))


def _tradingview(fields: Fields) -> Claim:
    action, position, rated = fields.word("action"), fields.word("position"), fields.number("value")
    type_, notes = fields.word("type"), ""
    if type_ is not None and type_ not in TYPES:
        raise PayloadError("malformed", f"type: none of {', '.join(TYPES)}")
    if rated is not None:
        value, usual = rated, "rating"
        if fields.text("kind") is None:
            raise PayloadError(
                "malformed", "kind: missing; a value needs the kind that the strategy reads, such as my_rating"
            )
    elif position is not None:
        value, usual = _one_of("position", position, POSITIONS), "state"
        notes = "position is what is held afterwards, so it counts, not the action" if action else ""
    else:
        value, usual = _one_of("action", fields.need("action").lower(), TV_ACTIONS), "event"
    at, ttl = fields.instant("time", "timenow"), fields.text("ttl")
    for name in ("bar_time", "order_id", "interval", "id"):  # they are part of what tells two alerts apart
        fields.text(name)
    return Claim(
        (fields.need("ticker"),), value, type_ or usual, fields.text("kind"), at, _ttl(ttl), fields.price("price"),
        is_unique=at is not None, notes=_noted(value if rated is None else OUT, notes),
    )  # fmt: skip


def _ttl(said: str | None) -> timedelta | None:
    if said is None:
        return None
    try:
        found = timedelta(seconds=duration(said) / SECOND)
    except (ValueError, OverflowError) as error:
        raise PayloadError("malformed", "ttl: a duration such as 15m is wanted") from error
    if not timedelta(0) < found <= WEEK:
        raise PayloadError("malformed", "ttl: over 0 and at most 7d is wanted")
    return found


# OctoBot: lines of keys and values

OCTO_SIGNALS = {"buy": LONG, "sell": OUT}
MOVES_MONEY = re.compile(r"withdraw|transfer|blockchain|wallet", re.IGNORECASE)


def _is_octobot(fields: Fields) -> bool:
    return fields.shape == "pairs" and fields.has("SIGNAL", "SYMBOL")


def _octobot(fields: Fields) -> Claim:
    signal = fields.need("SIGNAL").lower()
    if MOVES_MONEY.search(signal):
        raise PayloadError(
            "malformed", "SIGNAL moves money off the account: refused for good, nothing here can do that"
        )
    if signal == "cancel":
        raise PayloadError("malformed", "SIGNAL=CANCEL: no order of ours rests, so there is nothing to cancel")
    if "future" in (fields.word("TRADING_TYPE") or "") or "swap" in (fields.word("TRADING_TYPE") or ""):
        raise PayloadError("unknown_asset", "TRADING_TYPE is futures: a perpetual or a future; only spot is traded")
    if fields.word("ORDER_TYPE") == "stop":
        raise PayloadError(
            "malformed", "ORDER_TYPE=STOP waits for a price, which a signal cannot; let the strategy have an exit"
        )
    value, at = _one_of("SIGNAL", signal, OCTO_SIGNALS), fields.instant("TIME")
    return Claim((fields.need("SYMBOL"),), value, at=at, is_unique=at is not None)


# 3Commas: the signal bot and the older one of DCA bots

COMMAS_ACTIONS = {
    "buy": LONG, "sell": OUT, "enter_long": LONG, "exit_long": OUT, "enter_short": SHORT, "exit_short": OUT,
}  # fmt: skip
DCA_ACTIONS = {"": LONG, "close_at_market_price": OUT, "close_at_market_price_all": OUT}


def _is_3commas(fields: Fields) -> bool:
    return fields.shape == "json" and (fields.has("bot_uuid") or fields.has("message_type", "bot_id"))


def _3commas(fields: Fields) -> Claim:
    if fields.has("message_type", "bot_id"):
        return _3commas_dca(fields)
    fields.text("bot_uuid")
    value, notes = _one_of("action", fields.need("action").lower(), COMMAS_ACTIONS), ""
    info = fields.part("strategy_info")
    position = None if info is None else info.word("market_position")
    if position is not None:
        value = _one_of("strategy_info.market_position", position, POSITIONS)
        notes = "market_position is what is held afterwards, so it counts, not the action"
    at, lag = fields.instant("timestamp"), fields.seconds("max_lag")
    type_ = "state" if position is not None and lag is None else "event"
    return Claim(
        (fields.need("tv_instrument"),), value, type_, None, at, lag, fields.price("trigger_price"),
        is_unique=at is not None, notes=_noted(value, notes),
    )  # fmt: skip


def _3commas_dca(fields: Fields) -> Claim:
    if fields.text("pair") is None:
        raise PayloadError(
            "malformed", "pair: missing; which pair the bot trades is known at 3Commas only, so add pair"
        )
    for name in ("bot_id", "message_type"):
        fields.text(name)
    value, at = _one_of("action", fields.word("action") or "", DCA_ACTIONS), fields.instant("timestamp")
    delay = fields.number("delay_seconds")
    notes = "delay_seconds is not waited for" if delay else ""
    return Claim(
        (fields.need("pair"),), value, at=at, is_unique=at is not None, is_quote_first=True, notes=_noted(value, notes)
    )


# WunderTrading: a code, alone or in JSON. What stands in a code between the underscores the vendor does not say: each part is tried.

WUNDER = re.compile(r"\s*(ENTER|EXIT)-(LONG|SHORT|ALL)((?:_[^_\n]{0,80}){0,12})\s*", re.IGNORECASE)
WUNDER_SAYS = {
    ("enter", "long"): LONG, ("exit", "long"): OUT, ("enter", "short"): SHORT, ("exit", "short"): OUT, ("exit", "all"): OUT,
}  # fmt: skip


def code_of(fields: Fields) -> "re.Match[str] | None":
    """The code of a WunderTrading message."""
    code = fields.values.get("code") if fields.shape == "json" else fields.plain
    return WUNDER.fullmatch(code) if isinstance(code, str) and len(code) <= 1_000 else None


def _wundertrading(fields: Fields) -> Claim:
    code = code_of(fields)
    if code is None:
        raise PayloadError(
            "malformed", "code: ENTER-LONG, EXIT-LONG, ENTER-SHORT, EXIT-SHORT or EXIT-ALL is wanted, and what follows"
        )
    said = code[1].lower(), code[2].lower()
    if said not in WUNDER_SAYS:
        raise PayloadError("malformed", "code: ENTER-ALL is none")
    parts = tuple(part for part in code[3].strip().split("_") if part)
    if any("future" in part.lower() for part in parts):
        raise PayloadError("unknown_asset", "the code names futures: a perpetual or a future; only spot is traded")
    pair, fields_at = fields.text("pair", "pairCode"), fields.instant("time")
    client = fields.text("clientId")
    fields.text("code")
    symbols = (pair,) if pair is not None else parts
    if not symbols:
        raise PayloadError("malformed", "pair: missing, and the code names none")
    value = WUNDER_SAYS[said]
    return Claim(
        symbols, value, at=fields_at, is_unique=bool(client or fields_at), is_code=pair is None, notes=_noted(value)
    )  # fmt: skip


# Altrady

ALTRADY_FUTURES = frozenset({"BIFU", "BYBIF", "KUCNF"})
SIDES = {"long": LONG, "short": SHORT}


def _is_altrady(fields: Fields) -> bool:
    return fields.shape == "json" and fields.has("api_key", "api_secret")


def _altrady(fields: Fields) -> Claim:
    action, exchange = fields.word("action") or "open", (fields.text("exchange") or "").upper()
    if (fields.word("test") or "false") != "false":
        raise PayloadError("malformed", "test = true: it says itself that nothing is to be done")
    if action in {"start_bot", "stop_bot", "stop_and_close"}:
        raise PayloadError(
            "malformed", f"action {action} is for a bot, not about an asset; use trader halt, resume or flatten"
        )
    if action == "reduce":
        raise PayloadError("malformed", "action reduce: how much is sold is the strategy's; a signal says long or out")
    if exchange in ALTRADY_FUTURES or "FUTURES" in exchange:
        raise PayloadError("unknown_asset", f"exchange {exchange[:40]}: a perpetual or a future; only spot is traded")
    symbol, notes = fields.need("symbol"), ""
    if symbol.upper().partition("_")[0] in ALTRADY_FUTURES:
        raise PayloadError("unknown_asset", f"{symbol[:60]}: a perpetual or a future; only spot is traded")
    if action == "close":
        value = OUT
        fields.text("side")
    elif action in {"open", "increase", "reverse", "start_and_open"}:
        value = _one_of("side", fields.need("side").lower(), SIDES)
        notes = "increase says long: how much more is the strategy's" if action == "increase" else ""
    else:
        raise PayloadError("malformed", "action: none of open, increase, reverse, close, start_and_open")
    unique, at = fields.text("signal_id"), fields.instant("time")
    return Claim(
        (symbol,), value, at=at, price=fields.price("signal_price"), is_unique=bool(unique or at), is_quote_first="_" in symbol,
        notes=_noted(value, notes),
    )  # fmt: skip


# freqtrade: what its webhook section sends, as in our template

FREQ_FILLS = {"entry_fill": LONG, "exit_fill": OUT}
FREQ_OTHERS = ("entry", "entry_cancel", "exit", "exit_cancel", "status")


def _is_freqtrade(fields: Fields) -> bool:
    said = fields.values.get("type")
    return fields.shape in {"json", "form"} and isinstance(said, str) and said.lower() in {*FREQ_FILLS, *FREQ_OTHERS}


def _freqtrade(fields: Fields) -> Claim:
    said = fields.need("type").lower()
    if said in FREQ_OTHERS:
        raise PayloadError("malformed", f"type {said}: nothing was filled; send entry_fill and exit_fill")
    value = _one_of("type", said, FREQ_FILLS)
    if value > 0 and (fields.word("direction") or "long") == "short":
        value = SHORT
    for name in ("trade_id", "direction", "exchange"):
        fields.text(name)
    date, rate = ("open_date", "open_rate") if said == "entry_fill" else ("close_date", "close_rate")
    at = fields.instant(date)
    return Claim(
        (fields.need("pair"),), value, at=at, price=fields.price(rate), is_unique=at is not None, notes=_noted(value)
    )  # fmt: skip


# Cornix: free text with fixed words

PAIR = re.compile(r"(?<![\w/])#?([A-Za-z0-9]{1,20}/[A-Za-z0-9]{2,10}(?::[A-Za-z0-9]{2,10})?)(?![\w/])")
ENTRY = re.compile(r"\b(?:buy|entry|enter)\b", re.IGNORECASE)
AWAY = re.compile(r"\b(?:sell|stop|target|tp|take[ -]profit)\b", re.IGNORECASE)
PRICES = re.compile(r"(?<![\w.%])\d{1,12}(?:\.\d{1,12})?(?![\w%])")


def _is_cornix(fields: Fields) -> bool:
    text = fields.plain
    return fields.shape in {"text", "pairs"} and bool(PAIR.search(text) and ENTRY.search(text) and AWAY.search(text))


def _prices(text: str, words: "re.Pattern[str]") -> list[float]:
    lines = [line[match.end() :] for line in text.splitlines() if (match := words.search(line))]
    return [float(found) for line in lines for found in PRICES.findall(line)[:20] if float(found) > 0]


def _cornix(fields: Fields) -> Claim:
    text = fields.plain
    pairs = list(dict.fromkeys(PAIR.findall(text)))
    if len(pairs) != 1:
        raise PayloadError("malformed", f"{len(pairs) or 'no'} pairs are named; one, such as BTC/USDT, is wanted")
    if re.search(r"\b(?:above|below|breakout)\b", text, re.IGNORECASE):
        raise PayloadError(
            "malformed", "a breakout waits for a price, which a signal cannot; send it when the price is there"
        )
    entries, stops = _prices(text, ENTRY), _prices(text, re.compile(r"\bstop\b", re.IGNORECASE))
    said = re.findall(r"\b(long|short)\b", text, re.IGNORECASE)
    sides = {one.lower() for one in said}
    if len(sides) > 1:
        raise PayloadError("malformed", "long and short are both named")
    by_price = "short" if entries and stops and min(stops) > max(entries) else "long"
    value = SIDES[sides.pop() if sides else by_price]
    return Claim(
        (pairs[0],), value, price=entries[0] if entries else None,
        notes=_noted(value, f"entry prices, targets, stops and leverage are left out: {SIZES}"),
    )  # fmt: skip


BODY = ("secret", "passphrase", "token")
FORMATS = (
    Format(
        "3commas", "3Commas signal bot (strategy and custom) and DCA bot, JSON", "`bot_uuid`, or `message_type` and `bot_id`",
        ("secret", "email_token"), _is_3commas, _3commas,
        {"order": SIZES, "tv_exchange": "where it is traded is the run's"},
    ),
    Format(
        "altrady", "Altrady webhook, JSON", "`api_key` and `api_secret`", ("api_secret", "api_key"), _is_altrady, _altrady,
        {"leverage": "only spot is traded", "quote_amount": SIZES, "dca_orders": SIZES, "take_profit": SIZES, "stop_loss": SIZES},
    ),
    Format(
        "wundertrading", "WunderTrading code, alone or as `code` in JSON", "a text `ENTER-LONG...` or `EXIT-...`, or `code` with one",
        (*BODY, "SECRET", "TOKEN"), lambda fields: code_of(fields) is not None, _wundertrading,
        {"amountPerTrade": SIZES, "amountPerTradeType": SIZES, "orderType": SIZES, "stopLoss": SIZES, "takeProfits": SIZES},
    ),
    Format(
        "freqtrade", "freqtrade's webhook section with our template, JSON or form", "`type` with `entry_fill` or `exit_fill`",
        BODY, _is_freqtrade, _freqtrade, {"amount": SIZES, "stake_amount": SIZES, "leverage": "only spot is traded"},
    ),
    Format(
        "tradingview", "TradingView alert with our template, JSON", "`ticker`, and `action`, `position` or `value`", BODY, _is_tradingview,
        _tradingview,
    ),
    Format(
        "octobot", "TradingView alert as OctoBot takes it, KEY=VALUE", "lines `SYMBOL=` and `SIGNAL=`", ("TOKEN", "SECRET"), _is_octobot,
        _octobot,
        {"EXCHANGE": "where it is traded is the run's", "VOLUME": SIZES, "PRICE": SIZES, "STOP_PRICE": SIZES, "TAKE_PROFIT_PRICE": SIZES},
    ),
    Format(
        "cornix", "Cornix free text", "a pair with a slash, `Buy` or `Entry`, and `Sell`, `Stop`, `Target` or `Take Profit`", ("SECRET", "TOKEN"),
        _is_cornix, _cornix,
    ),
)  # fmt: skip
