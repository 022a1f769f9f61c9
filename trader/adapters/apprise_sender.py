"""Letters outward through Apprise: Telegram, Discord, Slack, mail, X and a hundred more, each by its address.

An address is a secret as a whole. Apprise works in threads, one letter per target at a time, so that a slow target holds up
nobody; its loggers, which name addresses, say nothing, and of what it says of a failure only the number of an HTTP answer is kept.
"""

import asyncio
import logging
import re
import threading

import apprise

NOTIFY_TYPES = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}
QUIETED = ("apprise", "requests", "urllib3", "requests_oauthlib", "oauthlib")
_STATUS = re.compile(r"error=(\d{3})\b")


class BadAddressError(ValueError):
    """Apprise knows no service for an address; the text never holds the address."""


class NotDeliveredError(Exception):
    """A target did not take a letter; the text never holds its address."""


def hush() -> None:
    """Silence the libraries' loggers; what Apprise says of an attempt is in its result."""
    for name in QUIETED:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        logger.setLevel(logging.WARNING)


class AppriseSender:
    """One target. Raises BadAddressError where Apprise cannot make anything of its address."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        asset = apprise.AppriseAsset(app_id="trader", app_desc="signal-trader", secure_logging=True)
        self._apprise = apprise.Apprise(asset=asset)
        if not self._apprise.add(address.strip()):
            scheme = re.match(r"([a-z][a-z0-9+.-]{1,15})://", address.strip(), re.IGNORECASE)
            what = f"one that begins with {scheme[1]}://" if scheme else "one without ://"
            raise BadAddressError(
                f"notify.targets.{name}: Apprise knows no service for this address, {what}; forms: https://appriseit.com/services"
            )
        self._is_busy = False

    async def send(self, title: str, text: str, level: str, *, seconds: float) -> None:
        """Deliver a letter of plain text; raises NotDeliveredError. After the time it is not known whether it arrived."""
        if self._is_busy:
            raise NotDeliveredError("the attempt before has not ended yet")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[bool, str]] = loop.create_future()

        def settle(result: tuple[bool, str]) -> None:
            if not answer.done():
                answer.set_result(result)

        def work() -> None:
            took = self._apprise.notify(
                body=text, title=title, notify_type=NOTIFY_TYPES[level], body_format=apprise.NotifyFormat.TEXT
            )
            said = [_STATUS.search(one.message) for one in took.logs()]
            self._is_busy = False
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, (bool(took), next((one[1] for one in said[::-1] if one), "")))

        self._is_busy = True
        threading.Thread(target=work, name=f"notify {self.name}", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                is_taken, status = await answer
        except TimeoutError as error:
            raise NotDeliveredError(f"no answer within {seconds:g} s") from error
        if not is_taken:
            raise NotDeliveredError(f"HTTP {status}" if status else "refused, or nobody is there")
