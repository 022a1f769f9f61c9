"""Telegram's bot API, as much of it as commands need: ask for messages, answer. Plain text both ways.

The bot's token is a part of every address, so no error of a transport is shown or chained: it would name the path.
"""

import json

from trader.adapters.chat import ChatDownError, Update
from trader.adapters.http import NoAnswerError, Transport

API = "https://api.telegram.org"
LONGEST = 4_000  # of the 4,096 characters that a message may have
GRACE = 10.0  # seconds beyond the time for which the question may wait


class TelegramDownError(ChatDownError):
    """Telegram did not answer, or refused; the text never holds the token."""


class Telegram:
    """One bot. `base` is another address than Telegram's own, such as that of a loopback."""

    name, is_anew = "telegram", True  # after a week without a message Telegram may begin its numbers anew, and lower

    def __init__(self, token: str, transport: Transport, base: str = API) -> None:
        self._token, self._transport, self._base = token, transport, base.rstrip("/")

    @property
    def bot(self) -> str:
        """The bot's number, which is no secret."""
        return self._token.partition(":")[0]

    async def updates(self, after: int, *, seconds: int) -> list[Update]:
        """Messages behind a number, waited for so long; those up to it are forgotten by Telegram. Raises TelegramDownError."""
        asked = {"offset": after + 1, "timeout": seconds, "allowed_updates": ["message"]}
        found = await self._call("getUpdates", asked, seconds + GRACE)
        return [one for row in found if (one := _update(row)) is not None] if isinstance(found, list) else []

    async def say(self, chat: int, text: str) -> None:
        """Answer in a chat, as plain text; raises TelegramDownError."""
        cut = text if len(text) <= LONGEST else text[: LONGEST - 4] + "\n..."
        preview = {"is_disabled": True}
        await self._call("sendMessage", {"chat_id": chat, "text": cut, "link_preview_options": preview}, GRACE)

    async def _call(self, method: str, fields: object, seconds: float) -> object:
        headers, url = {"Content-Type": "application/json"}, f"{self._base}/bot{self._token}/{method}"
        try:
            answer = await self._transport.call("POST", url, headers, json.dumps(fields), seconds=seconds)
        except NoAnswerError:
            raise TelegramDownError(f"{method}: no answer") from None
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if answer.status != 200 or not isinstance(found, dict) or found.get("ok") is not True:
            hint = {
                401: ": the token is refused",
                404: ": the token is refused",
                409: ": another process asks as this bot",
            }
            raise TelegramDownError(f"{method}: HTTP {answer.status}{hint.get(answer.status, '')}")
        return found.get("result")


def _update(row: object) -> Update | None:
    """A row of an answer; what is no message is passed over, but its number counts."""
    if not isinstance(row, dict) or not isinstance(row.get("update_id"), int):
        return None
    message = row.get("message")
    message = message if isinstance(message, dict) else {}
    sender, chat = (one if isinstance(one := message.get(name), dict) else {} for name in ("from", "chat"))
    user, room, sent, text = sender.get("id"), chat.get("id"), message.get("date"), message.get("text")
    is_own = not any(name in message for name in ("forward_origin", "via_bot", "sender_chat"))
    return Update(
        row["update_id"],
        user if isinstance(user, int) else 0,
        room if isinstance(room, int) else 0,
        sent if isinstance(sent, int) and 0 <= sent < 2**32 else 0,
        text if isinstance(text, str) and is_own else "",
        chat.get("type") == "private" and user == room,
    )
