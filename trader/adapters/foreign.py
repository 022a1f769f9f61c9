"""Signals of other services as our own message: recognised, authenticated by a secret in the body, mapped, composed.

Pure: bytes and an instant in, bytes out. It knows no account and sends nothing; a secret is compared and dropped, never kept or shown.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from trader.adapters.foreign_fields import LARGEST, Fields, parsed
from trader.adapters.foreign_formats import FORMATS, Claim, Format, code_of
from trader.adapters.foreign_symbols import asset_of
from trader.adapters.payloads import Payloads, compose
from trader.ports import PayloadError

OWN = "trader"
NAMES = (OWN, *(one.name for one in FORMATS))
KIND = "trading_signal"


@dataclass(frozen=True, slots=True)
class Translated:
    """A foreign message as ours. `notes` say how it was recognised, what was mapped and what was left out, without values.

    key: what the inbox will call it; empty where it is our own form and its content is its id.
    claimed_at: when the sender says it was issued; None where it does not say, so that a repetition may be a replay.
    """

    message: bytes
    format: str
    notes: tuple[str, ...]
    key: str
    claimed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """Reads what other services send. `kind` is what their buys and sells become: what the strategy reads."""

    kind: str = KIND
    largest: int = LARGEST

    def read(
        self, body: bytes, *, format: str | None = None, secrets: Mapping[str, str], universe: Sequence[str], received_at: datetime  # noqa: A002 - its word everywhere
    ) -> Translated:  # fmt: skip
        """A body as our message; raises PayloadError with how it ends.

        format: the only one that is taken; None = whichever is recognised. secrets: by name; given = the body must hold one of them.
        """
        if format is not None and format not in NAMES:
            raise ValueError(f"format {format!r}: allowed are {', '.join(NAMES)}")
        fields = parsed(body, self.largest)
        if _is_own(fields) and format in {None, OWN}:
            return self._own(fields, secrets)
        found = _recognised(fields, format)
        checked = _authenticated(fields, found, secrets)
        claim = found.claim(fields)
        asset, mapped = _asset(claim, universe)
        issued = claim.at or received_at.replace(second=0, microsecond=0)
        id_ = _id(fields, found, None if claim.is_unique else issued)
        message = compose(
            source=found.name, kind=claim.kind or self.kind, values={asset: claim.value}, type_=claim.type, issued_at=issued,
            id_=id_, ttl=claim.ttl, price=claim.price,
        )  # fmt: skip
        notes = (
            f"recognised as {found.name}: {found.looks_for}",
            checked,
            mapped,
            *_times(claim),
            *claim.notes,
            *_left(fields, found),
        )
        return Translated(message, found.name, notes, f"{found.name}/{id_}", claim.at)

    def _own(self, fields: Fields, secrets: Mapping[str, str]) -> Translated:
        given = [fields.take("secret")]
        _compare(given, secrets, ("secret",))
        body = json.dumps(fields.values, separators=(",", ":")).encode()
        notice = Payloads().read(body)
        source = notice.source.replace("%", "%25").replace("/", "%2F")
        notes = (f"recognised as {OWN}: `version` and `signals`", _checked(given, secrets))
        return Translated(body, OWN, notes, f"{source}/{notice.id}" if notice.id else "", notice.issued_at)


def _is_own(fields: Fields) -> bool:
    return fields.shape == "json" and fields.has("version", "signals")


def _recognised(fields: Fields, wanted: str | None) -> Format:
    for one in FORMATS:
        if wanted in {None, one.name} and one.fits(fields):
            return one
    looked = [f"{one.name} ({one.looks_for})" for one in FORMATS if wanted in {None, one.name}]
    own = [f"{OWN} (`version` and `signals`)"] if wanted in {None, OWN} else []
    raise PayloadError("malformed", f"no format fits; looked for: {'; '.join([*own, *looked])}")


# The secret


def _authenticated(fields: Fields, found: Format, secrets: Mapping[str, str]) -> str:
    """Take every secret out of the fields and compare; says what was done."""
    given = [fields.take(name) for name in found.secrets]
    code = code_of(fields) if found.name == "wundertrading" else None
    last = code[3].strip().rpartition("_")[2] if code is not None and secrets else ""
    if code is not None and last:
        given.append(last)
        if any(hmac.compare_digest(last.encode(), secret.encode()) for secret in secrets.values()):
            _without_end(fields, code[0].strip(), last)
    _compare(given, secrets, found.secrets)
    return _checked(given, secrets)


def _without_end(fields: Fields, code: str, last: str) -> None:
    shorter = code.removesuffix(last).rstrip("_")
    if fields.shape == "json":
        fields.values["code"] = shorter
    else:
        fields.plain = shorter


def _compare(given: Sequence[str | None], secrets: Mapping[str, str], names: Sequence[str]) -> None:
    if not secrets:
        return
    there = [one.encode() for one in given if one]
    if not there:
        raise PayloadError(
            "unauthenticated", f"it holds no secret; looked for {', '.join(names) or 'none: this format has none'}"
        )
    # Each with each, so that neither the number of secrets nor the place of the right one shows in the time.
    fits = [hmac.compare_digest(one, secret.encode()) for one in there for secret in secrets.values() if secret]
    if not any(fits):
        raise PayloadError("unauthenticated", "the secret in the body is not one that we know")


def _checked(given: Sequence[str | None], secrets: Mapping[str, str]) -> str:
    if secrets:
        return "the secret in the body is right; it was taken out"
    return "a secret in the body was taken out, and not checked" if any(given) else "no secret was asked for"


# What it is about, and its name


def _asset(claim: Claim, universe: Sequence[str]) -> tuple[str, str]:
    """The one asset that a claim is about; of several parts of a code exactly one must be a symbol."""
    found, failures = dict[str, str](), list[PayloadError]()
    for symbol in claim.symbols:
        try:
            asset, how = asset_of(symbol, universe, quote_first=claim.is_quote_first)
            found[asset] = how
        except PayloadError as error:
            failures.append(error)
    if not claim.is_code and failures:
        raise failures[0]
    if any("perpetual" in one.why for one in failures):
        raise PayloadError("unknown_asset", "the code names a perpetual or a future; only spot is traded")
    if len(found) > 1:
        raise PayloadError("unknown_asset", f"several assets are named: {', '.join(found)}")
    if not found:
        raise PayloadError("unknown_asset", f"none of the code's {len(failures)} parts is an asset of the universe")
    return next(iter(found.items()))


def _id(fields: Fields, found: Format, at: datetime | None) -> str:
    """A stable name made of the content without its secret, and of the minute where the content tells nothing apart."""
    said = json.dumps([fields.values, fields.plain], sort_keys=True, separators=(",", ":"))
    minute = "" if at is None else at.isoformat()
    return sha256(f"{found.name}\n{minute}\n{said}".encode()).hexdigest()[:32]


def _times(claim: Claim) -> list[str]:
    if claim.at is not None:
        return [f"issued at {claim.at:%Y-%m-%dT%H:%M:%SZ}, as it says"]
    return [
        "it says no time: the minute in which it came counts"
        + ("" if claim.is_unique else ", and the same text in another minute is another signal")
    ]


def _left(fields: Fields, found: Format) -> list[str]:
    """What was left out, by name and with the reason."""
    notes = []
    for name in fields.left():
        if name in found.left_out:
            notes.append(f"left out {name}: {found.left_out[name]}")
        elif name.isidentifier() and len(name) <= 40:
            notes.append(f"left out {name}: not a key of this format that is read here")
    return notes[:20]
