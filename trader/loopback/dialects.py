"""The venues that a loopback exchange can speak as, by name."""

from collections.abc import Callable

from trader.loopback.exchange import Exchange
from trader.loopback.gate import GateDialect
from trader.loopback.mexc import MexcDialect
from trader.loopback.wire import Dialect

DIALECTS: dict[str, Callable[[Exchange], Dialect]] = {"gate": GateDialect, "mexc": MexcDialect}
