"""Logs: one JSON line per fact, to standard error; a secret that was registered never gets out, in any field, in any form."""

import base64
import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO
from urllib.parse import quote

import structlog

from trader.core.facts import BarClosed, Fact, SignalsKnown
from trader.core.records import ConfigApplied, SignalReceived
from trader.runtime.correlation import Correlation

MASK = "***"
LEAST = 4  # shorter texts are no secrets, and masking them would make a log unreadable


def forms(secret: str) -> set[str]:
    """The ways in which a secret might be written down."""
    raw = secret.encode()
    return {secret, raw.hex(), base64.b64encode(raw).decode(), quote(secret, safe="")}


class Secrets:
    """A processor that masks what was registered."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {form for secret in secrets if len(secret) >= LEAST for form in forms(secret)}
        self._found = sorted(found, key=len, reverse=True)

    def __call__(self, logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Mask every text of an event."""
        del logger, method
        for name, value in event.items():
            event[name] = self.masked(value)
        return event

    def masked(self, value: Any) -> Any:  # noqa: ANN401 - whatever somebody logs
        """The value without secrets."""
        match value:
            case str():
                for secret in self._found:
                    value = value.replace(secret, MASK)
                return value
            case dict():
                return {self.masked(key): self.masked(one) for key, one in value.items()}
            case list() | tuple():
                return [self.masked(one) for one in value]
            case int() | float() | bool() | None:
                return value
            case _:
                return self.masked(str(value))


def set_up(secrets: Iterable[str] = (), *, stream: TextIO | None = None, level: str = "info") -> None:
    """Write JSON lines from now on; the libraries' own loggers, which may write headers and bodies, stay silent."""
    for name in ("ccxt", "aiohttp", "aiomqtt", "asyncio", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            Secrets(secrets),
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


class Log:
    """What the runtime says; `fact` is a listener of the keeper."""

    def __init__(self) -> None:
        self._logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
        self.correlation = Correlation()

    def fact(self, fact: Fact) -> None:
        """One line per fact, with the id of the story that it belongs to; bars only where somebody debugs."""
        story = self.correlation.of(fact)
        logger, more = self._logger, {"correlation_id": story} if story else {}
        match fact:
            case BarClosed():
                logger.debug("BarClosed", asset=fact.asset, at=fact.at, close=fact.close, **more)
            case SignalsKnown():
                logger.info("SignalsKnown", key=fact.key, at=fact.at, signals=len(fact.signals), **more)
            case SignalReceived():
                logger.info(
                    "SignalReceived", key=fact.key, source=fact.source, outcome=fact.outcome, why=fact.why, **more
                )
            case ConfigApplied():
                self._logger.info("ConfigApplied", hash=fact.hash[:12], why=fact.why, changes=fact.changes)
            case _:
                fields = {name: getattr(fact, name) for name in type(fact).__dataclass_fields__}
                logger.info(
                    type(fact).__name__, **{name: one for name, one in fields.items() if one not in {"", ()}}, **more
                )

    def info(self, event: str, **fields: object) -> None:
        """Something of the process itself."""
        self._logger.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that a person should know."""
        self._logger.warning(event, **fields)

    def alert(self, what: str, **fields: object) -> None:
        """Something that a person must mend."""
        self._logger.error("alert", what=what, **fields)

    def failed(self, event: str, error: BaseException, **fields: object) -> None:
        """Something that went wrong, with where."""
        self._logger.error(event, error=f"{type(error).__name__}: {error}", exc_info=error, **fields)
