"""What may be done: commands to the bot, signals, and webhooks. Nothing here decides; the bot does, in its turn."""

import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Header, Path, Request
from pydantic import BaseModel, Field

from trader.api.door import GUARDED, Door, Refusal, needs, problems, within
from trader.api.house import DarkError, House
from trader.api.reading import TheHouse
from trader.api.tokens import Rate
from trader.ports import PayloadError

router = APIRouter(prefix="/v1", responses=problems(*GUARDED, 503))
TYPED = frozenset(
    {"resume", "flatten", "kill", "adopt"}
)  # what needs a typed confirmation: it may cost money, or end care
KEY = r"^[A-Za-z0-9_.:-]{8,100}$"
Name = Literal["halt", "resume", "flatten", "kill", "reconcile", "adopt", "cancel"]
Raw = Annotated[
    dict[str, Any], Body(description="a message as in docs/messages.md, or one in an envelope with its signature")
]


class Order(BaseModel, extra="forbid"):
    """A command."""

    argument: str = Field("", max_length=500, description="why, for the record; of cancel the number of the order")
    mount: str = Field("", max_length=200, description="of this mount alone; none = of all")
    confirm: str = Field(
        "", max_length=300,
        description="for resume, flatten, kill and adopt: `COMMAND NAME`, such as `flatten demo`; NAME is the mount's where one is named, else the run's",
    )  # fmt: skip


class Done(BaseModel, extra="allow"):
    """What the bot made of a command."""

    ok: bool
    done: str = ""
    state: str = ""


class Taken(BaseModel):
    """What the bot made of a message: its key, and how it ended at the door (empty = it is handled)."""

    key: str
    outcome: str
    format: str = Field("", description="of a webhook: as what its body was read")
    notes: list[str] = Field(default_factory=list, description="of a webhook: what was noticed")


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as it is configured."""

    secret: str
    proof: str
    format: str | None
    addresses: Sequence[str]
    window_seconds: float


@dataclass(frozen=True, slots=True)
class Hooks:
    """All of them, the time, and how much is taken from an address of which nothing is proven yet."""

    by_name: dict[str, Hook]
    now: Callable[[], datetime]
    unproven: Rate  # apart from what callers have: however many addresses come, they push nobody's count out


@router.post(
    "/commands/{name}", dependencies=[Depends(needs("control"))], responses=problems(400, 409, 413, 422, 428)
)  # fmt: skip
async def command(
    name: Name, house: TheHouse, idempotency_key: Annotated[str, Header(pattern=KEY, description="the same key is carried out once")],
    order: Annotated[Order, Body(default_factory=Order)],
) -> Done:  # fmt: skip
    """Halt, resume, flatten, kill, reconcile, adopt, or cancel an order. What may cost money needs a typed confirmation."""
    whom = order.mount or house.name
    if name in TYPED and order.confirm != f"{name} {whom}":
        raise Refusal(428, f"{name} needs a typed confirmation", f'send "confirm": "{name} {whom}"')
    answer = await asked(house, name, order.argument, idempotency_key, order.mount)
    if answer.get("ok") is not True:
        raise Refusal(409, str(answer.get("error", "the bot refused")), "see GET /v1/status")
    return Done.model_validate(answer)


async def asked(house: House, name: str, argument: str, key: str, mount: str = "") -> dict[str, object]:
    """The bot's answer; raises Refusal where there is none."""
    try:
        return await house.ask(name, argument, key, mount)
    except DarkError as error:
        raise Refusal(
            503, f"the bot does not answer: {error}", "start it with `trader run`; whether it heard this is not known: ask again with the same key"
        ) from error  # fmt: skip


@router.post("/signals", dependencies=[Depends(needs("signal"))], responses=problems(400, 413, 422))
async def send(message: Raw, house: TheHouse) -> Taken:
    """Send a signal; the same message twice is one message."""
    return await _handed(house, json.dumps(message).encode())


async def _handed(house: House, body: bytes, *, format_: str = "", notes: Sequence[str] = ()) -> Taken:
    try:
        house.read_message(body)
    except PayloadError as error:
        raise Refusal(422, error.why, "docs/messages.md has the format", outcome=error.outcome) from error
    answer = await asked(house, "signal", body.decode(), "")
    return Taken(
        key=str(answer.get("key", "")), outcome=str(answer.get("outcome", "")), format=format_, notes=list(notes)
    )


@router.post(
    "/hooks/{name}", responses=problems(400, 401, 404, 413, 422),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {}, "text/plain": {}}}, "security": []},
)  # fmt: skip
async def hook(
    name: Annotated[str, Path(max_length=100)], request: Request, house: TheHouse,
    x_timestamp: Annotated[str | None, Header(max_length=40)] = None,
    x_signature: Annotated[str | None, Header(max_length=200)] = None,
) -> Taken:  # fmt: skip
    """A webhook of TradingView and others: proven by an HMAC in the headers, or by a secret in the body (docs/webhooks.md)."""
    door: Door = request.app.state.door
    hooks: Hooks = request.app.state.hooks
    address, found = door.address(request), hooks.by_name.get(name)
    wait = door.throttle.wait(address)
    if wait:
        raise Refusal(429, "too many wrong secrets from this address", "wait", wait=wait)
    if found is None:
        raise Refusal(404, "there is no such webhook", "api.hooks names them")
    if found.addresses and not within(address, found.addresses):
        raise Refusal(403, "not from this address", "api.hooks.NAME.addresses lists who may")
    if not hooks.unproven.take(f"hook {name} {address}"):
        raise Refusal(429, "too many requests from this address", "api.commands is the limit", wait=1.0)
    body = await request.body()
    try:
        is_hmac = found.proof == "hmac"
        at = _proven(found, body, x_timestamp, x_signature, hooks.now()) if is_hmac else hooks.now()
        read = house.read_hook(body, found.format, "" if is_hmac else found.secret, at)
    except PayloadError as error:
        if error.outcome == "unauthenticated":
            door.throttle.failed(address)
            raise Refusal(401, error.why, "see api.hooks and docs/webhooks.md", outcome=error.outcome) from error
        raise Refusal(
            422, error.why, "`trader signal explain-payload` says what a body is read as", outcome=error.outcome
        ) from error
    if not door.commands.take(f"hook {name}"):  # asked of who proved himself alone: strangers must not use it up
        raise Refusal(429, "too many requests", "api.commands is the limit", wait=1.0)
    return await _handed(house, read.message, format_=read.format, notes=read.notes)


def _proven(hook_: Hook, body: bytes, stamp: str | None, signature: str | None, now: datetime) -> datetime:
    """When a body was signed, by which it is named: what is sent again with its old signature is the same. Raises PayloadError unless it fits and is of now."""
    if stamp is None or signature is None or not re.fullmatch(r"\d{9,11}", stamp, re.ASCII):
        raise PayloadError("unauthenticated", "X-Timestamp (seconds since 1970) and X-Signature are needed")
    wanted = hmac.new(hook_.secret.encode(), f"{stamp}.".encode() + body, sha256).hexdigest()
    fits = hmac.compare_digest(wanted.encode(), signature.removeprefix("sha256=").encode())
    if not fits or abs(now.timestamp() - int(stamp)) > hook_.window_seconds:
        raise PayloadError("unauthenticated", "the signature does not fit, or is not of now")
    return datetime.fromtimestamp(int(stamp), UTC)
