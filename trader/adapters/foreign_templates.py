"""What to paste at another service so that its signals are read here. Each is a format of `foreign_formats` with its placeholders.

`example` is the same as it arrives, so that a test (and a reader) sees that the one becomes the other.
"""

import json
from dataclasses import dataclass

SECRET = "THE-SECRET-OF-YOUR-WEBHOOK"  # noqa: S105 - a place to put one


@dataclass(frozen=True, slots=True)
class Template:
    """An alert text for a format, where it is pasted, and what each field is for; `filled` are the placeholders' values in the example."""

    name: str
    format: str
    where: str
    text: str
    fields: tuple[tuple[str, str], ...]
    filled: tuple[tuple[str, str], ...]

    @property
    def example(self) -> str:
        """The text as it arrives."""
        text = self.text
        for placeholder, value in self.filled:
            text = text.replace(placeholder, value)
        return text


def _object(**values: object) -> str:
    return json.dumps(values, indent=2)


CHART = (
    ("{{exchange}}", "BINANCE"), ("{{ticker}}", "BTCUSDT"), ("{{timenow}}", "2024-03-12T10:15:02Z"), ("{{time}}", "2024-03-12T10:00:00Z"),
    ("{{close}}", "71500.5"), ("{{interval}}", "15"),
)  # fmt: skip
STRATEGY = (
    *CHART, ("{{strategy.order.action}}", "buy"), ("{{strategy.market_position}}", "long"), ("{{strategy.order.id}}", "Long"),
    ("{{strategy.market_position_size}}", "0.1"), ("{{strategy.prev_market_position}}", "flat"),
    ("{{strategy.prev_market_position_size}}", "0"), ("{{strategy.order.contracts}}", "0.1"),
)  # fmt: skip
SECRET_FIELD = ("secret", "the secret of the webhook, where it proves itself by the body; it is compared and dropped")
TICKER_FIELD = ("ticker", "which asset: it must be one of the run's universe, spot")
TIME_FIELD = ("time", "when it was issued; without it a repetition cannot be told from a new signal")

TEMPLATES = (
    Template(
        "tradingview", "tradingview", "TradingView, a strategy's alert, the field Message; the webhook's address under Notifications",
        _object(
            secret=SECRET, ticker="{{exchange}}:{{ticker}}", action="{{strategy.order.action}}", position="{{strategy.market_position}}",
            order_id="{{strategy.order.id}}", price="{{close}}", bar_time="{{time}}", time="{{timenow}}", interval="{{interval}}",
        ),
        (
            SECRET_FIELD, TICKER_FIELD, ("action", "buy or sell; long, short, exit, close and flat are read as well"),
            ("position", "what the strategy holds afterwards: long, flat or short; it counts before the action, and heals what was lost"),
            ("price", "what it cost when it was issued, for intake.drift"), TIME_FIELD,
            ("ttl", "optional: how long it may be acted on, such as 5m"),
            ("order_id, bar_time, interval", "tell two alerts apart"),
        ),
        STRATEGY,
    ),
    Template(
        "tradingview-indicator", "tradingview", "TradingView, an indicator's alert, the field Message: one alert to buy, one to sell",
        _object(secret=SECRET, ticker="{{exchange}}:{{ticker}}", action="buy", price="{{close}}", bar_time="{{time}}", time="{{timenow}}"),
        (SECRET_FIELD, TICKER_FIELD, ("action", "buy in the one alert, sell in the other"), TIME_FIELD), CHART,
    ),
    Template(
        "tradingview-rating", "tradingview", "TradingView, an indicator's alert on each bar's close: a plot of it as a rating",
        _object(
            secret=SECRET, ticker="{{exchange}}:{{ticker}}", kind="my_rating", type="rating", value="{{plot_0}}", bar_time="{{time}}",
            time="{{timenow}}",
        ),
        (SECRET_FIELD, TICKER_FIELD, ("kind", "the kind that the strategy reads"), ("value", "the number"),
         ("type", "rating, state or event"), TIME_FIELD),
        (*CHART, ("{{plot_0}}", "73.5")),
    ),
    Template(
        "octobot", "octobot", "TradingView, the field Message, as for OctoBot; TIME is ours",
        f"EXCHANGE={{{{exchange}}}}\nSYMBOL={{{{ticker}}}}\nSIGNAL=BUY\nTIME={{{{timenow}}}}\nTOKEN={SECRET}",
        (("SYMBOL", "which asset"), ("SIGNAL", "BUY or SELL"), ("TIME", TIME_FIELD[1]), ("TOKEN", SECRET_FIELD[1])), CHART,
    ),
    Template(
        "3commas", "3commas", "TradingView, a strategy's alert, the field Message, as for a signal bot of 3Commas",
        _object(
            secret=SECRET, max_lag="300", timestamp="{{timenow}}", trigger_price="{{close}}", tv_exchange="{{exchange}}",
            tv_instrument="{{ticker}}", action="{{strategy.order.action}}", bot_uuid="any",
            strategy_info={
                "market_position": "{{strategy.market_position}}", "market_position_size": "{{strategy.market_position_size}}",
                "prev_market_position": "{{strategy.prev_market_position}}",
                "prev_market_position_size": "{{strategy.prev_market_position_size}}",
            },
            order={"amount": "{{strategy.order.contracts}}", "currency_type": "base"},
        ),
        (
            SECRET_FIELD, ("tv_instrument", "which asset"), ("action", "buy, sell, enter_long, exit_long, enter_short, exit_short"),
            ("strategy_info.market_position", "counts before the action"), ("max_lag", "seconds that it may be acted on"),
            ("timestamp", TIME_FIELD[1]), ("trigger_price", "for intake.drift"),
        ),
        STRATEGY,
    ),
    Template(
        "wundertrading", "wundertrading", "what WunderTrading calls the comment of an entry or exit, alone or as `code`",
        _object(secret=SECRET, code="ENTER-LONG", pair="{{ticker}}", time="{{timenow}}"),
        (SECRET_FIELD, ("code", "ENTER-LONG, EXIT-LONG, ENTER-SHORT, EXIT-SHORT or EXIT-ALL, and what follows there"),
         ("pair", "which asset, where the code does not name it"), TIME_FIELD),
        CHART,
    ),
    Template(
        "altrady", "altrady", "TradingView, the field Message, as for a signal bot of Altrady; api_secret is the secret",
        _object(
            api_key="any", api_secret=SECRET, action="open", side="long", exchange="{{exchange}}", symbol="{{ticker}}",
            signal_price="{{close}}", time="{{timenow}}",
        ),
        (("api_secret", SECRET_FIELD[1]), ("symbol", "BTCUSDT, or exchange code, quote and base: GATE_USDT_BTC"),
         ("action", "open, increase, reverse, close or start_and_open"), ("side", "long or short"),
         ("signal_id", "an id of its own, if there is one"), TIME_FIELD),
        CHART,
    ),
    Template(
        "freqtrade", "freqtrade", "freqtrade's config, webhook.entry_fill, with \"format\": \"json\"; exit_fill alike with close_date, close_rate",
        _object(
            secret=SECRET, type="entry_fill", trade_id="{trade_id}", exchange="{exchange}", pair="{pair}", direction="{direction}",
            open_rate="{open_rate}", open_date="{open_date}",
        ),
        (SECRET_FIELD, ("type", "entry_fill or exit_fill: what was filled is copied, what was only placed is not"),
         ("pair", "which asset"), ("direction", "Long or Short"), ("open_date", TIME_FIELD[1])),
        (("{trade_id}", "42"), ("{exchange}", "gate"), ("{pair}", "BTC/USDT"), ("{direction}", "Long"), ("{open_rate}", "71500.5"),
         ("{open_date}", "2024-03-12 10:15:02+00:00")),
    ),
    Template(
        "cornix", "cornix", "a text for a channel, as Cornix reads it; it has no time, and its secret is a line of ours",
        f"#BTC/USDT LONG\nEntry: 71000 - 71500\nTake Profit: 74000 78000\nStop: 68000\nSECRET={SECRET}",
        (("pair", "with its slash, one only"), ("Buy or Entry", "that it is a signal"), ("LONG or SHORT", "else the stop tells"),
         ("SECRET", SECRET_FIELD[1])),
        (),
    ),
)  # fmt: skip
