"""ccxt's constructor, once per class: it takes some ten milliseconds, and a world makes dozens of instances.

What a class's first instance came to is kept; later ones get the tables that nobody changes by reference, all else as copies, and then their
configuration. tests/simulation/test_simulation.py compares such an instance with one that was made the long way.
"""

import pickle
import ssl
from functools import lru_cache

from ccxt.base.exchange import BaseExchange as Exchange

SHARED = (
    "api",
    "exceptions",
    "has",
    "features",
    "fees",
    "httpExceptions",
    "timeframes",
    "commonCurrencies",
    "requiredCredentials",
    "describe",
)
OWN = (
    "throttler",
    "logger",
    "origin",
    "asyncio_loop",
    "asyncioLoop",
    "transport",
    "wall",
    "pinned_ms",
    "session",
    "number",
)
PLAIN = Exchange.__init__
MADE = {}


def quick(self, config={}):  # noqa: B006 - ccxt's own signature
    """As `Exchange.__init__`."""
    kind = type(self)
    if kind not in MADE:
        before = dict(self.__dict__)
        PLAIN(self, {})
        mine = {name: one for name, one in self.__dict__.items() if name not in OWN and name not in before}
        shared = {name: mine.pop(name) for name in SHARED if name in mine}
        plain, rest = {}, {}
        for name, one in mine.items():
            try:
                plain[name] = pickle.loads(pickle.dumps(one))
            except (TypeError, AttributeError, pickle.PicklingError):
                rest[name] = one
        MADE[kind] = shared | rest, pickle.dumps(plain), self.logger
        self.__dict__.clear()
        self.__dict__.update(before)
    shared, blob, logger = MADE[kind]
    self.__dict__.update(shared)
    self.__dict__.update(pickle.loads(blob))
    self.logger, self.origin, self.asyncioLoop = logger, self.uuid(), self.asyncio_loop
    for name, one in config.items():
        old = getattr(self, name, None)
        setattr(self, name, self.deep_extend(old, one) if isinstance(old, dict) else one)
        words = name.split("_")
        if len(words) > 1:
            setattr(self, words[0] + "".join(map(str.capitalize, words[1:])), getattr(self, name))
    self.init_throttler()


def installed():
    """From now on instances are made the quick way; and here is no TLS, so that one context does for all."""
    Exchange.__init__ = quick
    ssl.create_default_context = lru_cache(maxsize=None)(PLAIN_CONTEXT)


PLAIN_CONTEXT = ssl.create_default_context
