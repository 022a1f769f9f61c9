"""Discord's HTTP API, as much of it as commands need: read one channel, answer there. Plain text both ways.

Asked, not listened to: what was written while nobody asked stands in the channel and comes after its number, as at Telegram; a
gateway's websocket would lose it, and an endpoint for interactions would need an open port. The token goes out in a header alone,
and no error of a transport is shown or chained.
"""

import json
import math

from trader import __version__
from trader.adapters.chat import ChatDownError, Update
from trader.adapters.http import Answer, NoAnswerError, Transport
from trader.ports import Clock

API = "https://discord.com/api/v10"
AGENT = f"DiscordBot (signal-trader, {__version__})"  # the form that Discord asks for; others may be turned away
LONGEST = 1_900  # of the 2,000 characters that a message may have
GRACE = 10.0  # seconds for one question
EVERY = 2.0  # seconds between two questions, well within what Discord allows for a channel
WAIT_MOST = 60.0  # seconds that are waited where Discord says that it was asked too often; longer is an error
PORTION = 100
EPOCH_MS = 1_420_070_400_000  # the first millisecond of Discord's numbers, 2015-01-01
WRITTEN = frozenset({0, 19})  # types of a message that somebody wrote: a plain one, a reply
SUPPRESS_EMBEDS = 4
OTHERS = (
    "attachments",
    "embeds",
    "sticker_items",
    "components",
    "poll",
    "message_snapshots",
)  # what may stand instead of a text
INTENT = "what you wrote cannot be read: switch on Message Content Intent for the bot, in Discord's developer portal"
HINTS = {
    401: ": the token is refused",
    403: ": the bot may not; it needs View Channel, Read Message History and Send Messages there",
    404: ": there is no such channel for the bot",
}


class DiscordDownError(ChatDownError):
    """Discord did not answer, or refused; the text never holds the token."""


def number_at(seconds: float) -> int:
    """The lowest number of a message written at an instant, in seconds since 1970."""
    return max(0, int(seconds * 1_000) - EPOCH_MS) << 22


class Discord:
    """One bot in one channel. `base` is another address than Discord's own, such as that of a loopback."""

    name, is_anew = "discord", False

    def __init__(
        self, token: str, channel: int, transport: Transport, clock: Clock, base: str = API, *, every: float = EVERY
    ) -> None:
        self._transport, self._clock, self._every = transport, clock, every
        self._path, self._base, self._channel = f"/channels/{channel}/messages", base.rstrip("/"), channel
        self._headers = {"Authorization": f"Bot {token}", "User-Agent": AGENT, "Content-Type": "application/json"}
        self._free: dict[str, float] = {}  # method: until when Discord wants no more of it, on the monotonic clock

    async def updates(self, after: int, *, seconds: int) -> list[Update]:
        """Messages behind a number, the oldest first, asked for until some come or the time is over. Raises DiscordDownError."""
        end = self._clock.monotonic() + seconds
        while True:
            rows = await self._call("GET", f"?after={after}&limit={PORTION}")
            found = (
                [one for row in rows if (one := _update(row, self._channel)) is not None]
                if isinstance(rows, list)
                else []
            )
            if found or self._clock.monotonic() >= end:
                return sorted(found, key=lambda one: one.number)
            await self._clock.sleep(self._every)

    async def say(self, chat: int, text: str) -> None:
        """Answer in the channel: nobody is mentioned and nothing is unfolded. Raises DiscordDownError."""
        del chat
        cut = text if len(text) <= LONGEST else text[: LONGEST - 4] + "\n..."
        await self._call("POST", "", {"content": cut, "allowed_mentions": {"parse": []}, "flags": SUPPRESS_EMBEDS})

    async def _call(self, method: str, query: str, fields: object = None) -> object:
        body = None if fields is None else json.dumps(fields)
        for _ in range(3):
            await self._clock.sleep(max(0.0, self._free.get(method, 0.0) - self._clock.monotonic()))
            try:
                answer = await self._transport.call(
                    method, self._base + self._path + query, self._headers, body, seconds=GRACE
                )
            except NoAnswerError:
                raise DiscordDownError(f"{method} messages: no answer") from None
            found = _read(answer)
            if answer.status == 429:  # nothing was done, so it may be asked again
                wait = _seconds(found.get("retry_after") if isinstance(found, dict) else None, answer, "retry-after")
                if wait > WAIT_MOST:
                    break
                self._free[method] = self._clock.monotonic() + wait
                continue
            if answer.status not in {200, 201} or found is None:
                raise DiscordDownError(f"{method} messages: HTTP {answer.status}{HINTS.get(answer.status, '')}")
            if _header(answer, "x-ratelimit-remaining") == "0":
                self._free[method] = self._clock.monotonic() + min(
                    WAIT_MOST, _seconds(None, answer, "x-ratelimit-reset-after")
                )
            return found
        raise DiscordDownError(f"{method} messages: HTTP 429: asked too often")


def _read(answer: Answer) -> object:
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _header(answer: Answer, name: str) -> str:
    return next((one for key, one in answer.headers.items() if key.lower() == name), "")


def _seconds(value: object, answer: Answer, name: str) -> float:
    """How long to wait: by the answer, else by its header, else a second."""
    try:
        found = float(value if isinstance(value, int | float) else _header(answer, name))
    except ValueError:
        return 1.0
    return found if math.isfinite(found) and found >= 0 else 1.0


def _update(row: object, channel: int) -> Update | None:
    """A row of an answer; what nobody wrote as a command is nobody's, but its number counts."""
    number = _number(row.get("id")) if isinstance(row, dict) else 0
    if not isinstance(row, dict) or not number:
        return None
    author, text, reference = row.get("author"), row.get("content"), row.get("message_reference")
    author = author if isinstance(author, dict) else {}
    text = text.strip() if isinstance(text, str) else ""
    is_own = row.get("type") in WRITTEN and not (
        author.get("bot") or row.get("webhook_id") or row.get("application_id")
        or (isinstance(reference, dict) and reference.get("type") == 1)  # a forward
    )  # fmt: skip
    is_unread = not text and not any(row.get(name) for name in OTHERS)
    is_asking = is_own and (is_unread or text[:1] in {"!", "/"})  # what people say to each other there is not for us
    return Update(
        number,
        _number(author.get("id")) if is_asking else 0,
        channel,
        ((number >> 22) + EPOCH_MS) // 1_000,
        f"/{text[1:]}" if is_asking and text else "",
        _number(row.get("channel_id")) == channel,
        INTENT if is_asking and is_unread else "",
    )


def _number(value: object) -> int:
    """A number of Discord's, which it writes as text; 0 for whatever is none."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20 else 0
