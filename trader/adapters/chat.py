"""What chats have in common: messages with a number that grows, and an answer to one. Plain text both ways."""

from dataclasses import dataclass
from typing import Protocol


class ChatDownError(Exception):
    """The service did not answer, or refused; the text never holds a token."""


@dataclass(frozen=True, slots=True)
class Update:
    """A text message to the bot. `sent` is in seconds since 1970; `text` is empty for whatever is not written by its sender.

    user: 0 where it is nobody's command, as what a bot or an app wrote. trouble: why its text cannot be read, told to its sender.
    """

    number: int
    user: int
    chat: int
    sent: int
    text: str
    is_private: bool
    trouble: str = ""


class Chat(Protocol):
    """A service through which a bot is written to. `name` is its name; `is_anew`: its numbers may begin anew, and lower."""

    name: str
    is_anew: bool

    async def updates(self, after: int, *, seconds: int) -> list[Update]:
        """Messages behind a number, the oldest first, waited for so long; raises ChatDownError."""

    async def say(self, chat: int, text: str) -> None:
        """Answer in a chat, as plain text; raises ChatDownError."""
