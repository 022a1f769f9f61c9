"""Messages as JSON, version 1: parsed strictly, authenticated by HMAC-SHA256 where keys are configured. See docs/messages.md.

A signed message is an envelope `{"payload": text, "key_id": name, "signature": hex}`; what is signed are the bytes of the text.
"""

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from trader.core.instants import SECOND, duration
from trader.ports import Notice, PayloadError, Said

LARGEST = 262_144
FIRST, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LONGEST_TTL = timedelta(days=366)
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]


def _in_range(at: datetime) -> datetime:
    """The instant in UTC; columns hold int64 nanoseconds, and the ends of the calendar have no other zone."""
    try:
        found = at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant from 1970 to 2199 is wanted") from error
    if not FIRST <= found < END:
        raise ValueError("an instant from 1970 to 2199 is wanted")
    return found


Instant = Annotated[AwareDatetime, AfterValidator(_in_range)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaidModel(_Part):
    """One value about one asset."""

    asset: Name = Field(description="as in the universe of the run: BTC/USDT; MARKET is the market as a whole")
    kind: Name = Field(description="what is said: trader_grade, trading_signal ...")
    value: float = Field(
        allow_inf_nan=False, description="ratings 0 to 100; states and events over 0 = long, 0 or under = out"
    )
    as_of: Instant | None = Field(None, description="what instant it describes; issued_at where left out")
    price: float | None = Field(None, gt=0, allow_inf_nan=False, description="price when it was issued")


class BatchModel(_Part):
    """That this message is one of several which are one publication."""

    id: Name
    count: int = Field(ge=1, le=10_000, description="how many messages the publication has")


class MessageModel(_Part):
    """A message with what a vendor says: one publication, or a part of one."""

    model_config = ConfigDict(title="trader signal message", extra="forbid", frozen=True)

    version: Literal[1]
    id: Name | None = Field(None, description="the producer's own id: two messages with one id are one message")
    source: Name = Field(description="who says it")
    type: Literal["rating", "state", "event"] = Field(
        description="rating and state are levels, good until something newer; an event is a moment and expires"
    )
    issued_at: Instant
    ttl: str | None = Field(None, description="how long an event may be acted on, such as 15m")
    batch: BatchModel | None = None
    signals: list[SaidModel] = Field(min_length=1, max_length=5_000)

    @field_validator("ttl")
    @classmethod
    def _is_duration(cls, value: str | None) -> str | None:
        if value is not None and not 0 < duration(value) <= duration(LONGEST_TTL):
            raise ValueError(f"over 0 and at most {LONGEST_TTL.days}d is wanted")
        return value


def schema() -> dict[str, Any]:
    """The JSON Schema of a message."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MessageModel.model_json_schema()}


def parts_of_schema() -> dict[str, Any]:
    """The same in parts by name, as an OpenAPI document keeps them; the message is `Message`."""
    whole = MessageModel.model_json_schema(ref_template="#/components/schemas/{model}")
    parts: dict[str, Any] = whole.pop("$defs", {})
    return {**parts, "Message": whole}


class Payloads:
    """Reads messages. `keys` are secrets by key id; without any, messages are taken as they come."""

    def __init__(self, keys: Mapping[str, str] | None = None, *, largest: int = LARGEST) -> None:
        self._keys = {name: secret.encode() for name, secret in (keys or {}).items()}
        self._largest = largest

    def read(self, body: bytes) -> Notice:
        """What a message says; raises PayloadError with how it ends."""
        if len(body) > self._largest:
            raise PayloadError("oversized", f"{len(body)} bytes; at most {self._largest} are read")
        found = _json(body)
        if isinstance(found, dict) and "payload" in found:
            found = _json(self._opened(found))
        elif self._keys:
            raise PayloadError("unauthenticated", "it is not signed, and keys are configured")
        try:
            model = MessageModel.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "message"
            raise PayloadError("malformed", f"{where}: {first['msg']}") from error
        return _notice(model)

    def _opened(self, envelope: Mapping[str, object]) -> bytes:
        payload, key_id, signature = (envelope.get(name) for name in ("payload", "key_id", "signature"))
        if not (isinstance(payload, str) and isinstance(key_id, str) and isinstance(signature, str)):
            raise PayloadError("malformed", "an envelope has payload, key_id and signature, all of them texts")
        data, given = _bytes(payload), _bytes(signature)
        if self._keys:
            secret = self._keys.get(key_id)
            wanted = hmac.new(secret or b"", data, sha256).hexdigest()
            if secret is None or not hmac.compare_digest(wanted.encode(), given):
                raise PayloadError("unauthenticated", "the signature does not fit the payload under a key we know")
        return data


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise PayloadError("malformed", "an envelope has texts, and half a surrogate pair is none") from error


def _json(body: bytes) -> object:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PayloadError("malformed", f"no JSON: {str(error)[:200]}") from error


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _notice(model: MessageModel) -> Notice:
    issued = model.issued_at
    said = tuple(Said(one.asset, one.kind, one.value, one.as_of or issued, one.price) for one in model.signals)
    if len({(one.asset, one.kind) for one in said}) < len(said):
        raise PayloadError("malformed", "signals: one asset and kind is named twice")
    return Notice(
        model.id or "", model.source, model.type, issued, said,
        None if model.batch is None else (model.batch.id, model.batch.count),
        None if model.ttl is None else duration(model.ttl) / SECOND,
    )  # fmt: skip


def compose(
    *, source: str, kind: str, values: Mapping[str, float], type_: str, issued_at: datetime, id_: str | None = None,
    ttl: timedelta | None = None, batch: tuple[str, int] | None = None, as_of: datetime | None = None, price: float | None = None,
) -> bytes:  # fmt: skip
    """A message as bytes; raises PayloadError where it would not be read."""
    rows: list[dict[str, object]] = [{"asset": asset, "kind": kind, "value": value} for asset, value in values.items()]
    if as_of is not None:
        rows = [{**row, "as_of": as_of.isoformat()} for row in rows]
    if price is not None:
        rows = [{**row, "price": price} for row in rows]
    message: dict[str, object] = {"version": 1, "source": source, "type": type_, "issued_at": issued_at.isoformat()}
    if id_ is not None:
        message["id"] = id_
    if ttl is not None:
        message["ttl"] = f"{ttl.total_seconds():g}s"
    if batch is not None:
        message["batch"] = {"id": batch[0], "count": batch[1]}
    body = json.dumps({**message, "signals": rows}, separators=(",", ":")).encode()
    Payloads().read(body)
    return body


def signed(body: bytes, key_id: str, secret: str) -> bytes:
    """The message in an envelope with its signature."""
    signature = hmac.new(secret.encode(), body, sha256).hexdigest()
    return json.dumps({"payload": body.decode(), "key_id": key_id, "signature": signature}).encode()
