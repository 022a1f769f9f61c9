"""Every parser that takes bytes from outside, each as a function of bytes: what it may raise is caught here, all else is a defect.

Where a parser gives a value, what has to hold of the value is asserted.
"""
# ruff: noqa: PT017 - what is raised is judged where it is caught

import json
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from trader.adapters.fact_codec import CodecError, decode, encode
from trader.adapters.foreign import Foreign
from trader.adapters.payloads import Payloads, signed
from trader.adapters.tokenmetrics_fields import ENDPOINTS, page_of
from trader.adapters.tokenmetrics_prices import _read as price_of
from trader.adapters.venue_codes import reply_of
from trader.core.expression import ConditionError
from trader.core.instants import to_ns
from trader.core.parsing import parse
from trader.core.states import StateError
from trader.ports import Accepted, PayloadError, RefusedByVenue, Unclear
from trader.run_settings import load_run
from trader.runtime.control import NAMES, Control
from trader.runtime.snapshots import CODER
from trader.settings import SettingsError, load_backtest
from trader.yaml_source import YamlError
from trader.yaml_source import read as read_yaml

NOW = datetime(2024, 3, 12, 10, 15, 5, tzinfo=UTC)
UNIVERSE = ("BTC/USDT", "ETH/USDT")
OUTCOMES = {"malformed", "unauthenticated", "unknown_asset", "oversized"}
HERE = Path(__file__).parent
CORPUS = HERE / "corpus"


def payload(data: bytes) -> None:
    """A message of ours, signed or not."""
    for keys in (None, {"k1": "secret"}):
        try:
            notice = Payloads(keys).read(data)
        except PayloadError as error:
            assert error.outcome in OUTCOMES
            error.why.encode()
            continue
        for at in (notice.issued_at, *(one.as_of for one in notice.said)):
            assert 0 <= to_ns(at) < 2**63  # columns hold it
        assert notice.said
        assert notice.ttl_seconds is None or timedelta(0) < timedelta(seconds=notice.ttl_seconds)


def envelope(data: bytes) -> None:
    """Nothing but what was signed passes, with whatever the bytes are put in its place."""
    good = json.loads(signed(SIGNED, "k1", "secret"))
    half, text = len(data) // 2, data.decode("utf-8", "surrogateescape")
    for changed in (
        {**good, "payload": text},
        {**good, "signature": text},
        {**good, "key_id": text},
        {**good, "payload": text[:half], "signature": text[half:]},
    ):
        try:
            Payloads({"k1": "secret"}).read(json.dumps(changed).encode())
        except PayloadError as error:
            assert error.outcome in {"malformed", "unauthenticated", "oversized"}
        else:
            assert changed == good, "something passed that was not signed"


SIGNED = b'{"version":1,"source":"s","type":"event","issued_at":"2024-03-12T10:15:00Z","signals":[{"asset":"BTC/USDT","kind":"k","value":1}]}'


def foreign(data: bytes) -> None:
    """What other services send."""
    for secrets in ({}, {"a": "correct horse battery"}):
        try:
            found = Foreign().read(data, secrets=secrets, universe=UNIVERSE, received_at=NOW)
        except PayloadError as error:
            assert error.outcome in OUTCOMES
            assert error.why.isprintable()
            assert len(error.why) < 2_000
            continue
        notice = Payloads().read(found.message)
        assert found.format == "trader" or {one.asset for one in notice.said} <= set(UNIVERSE)
        assert "correct horse battery" not in f"{found}"


def yaml(data: bytes) -> None:
    """A YAML file: plain values with places, or one error that names file and line."""
    path = _file(data)
    try:
        document = read_yaml(path)
    except YamlError as error:
        assert re.match(rf"{re.escape(str(path))}:\d+", str(error)), error
        return
    for place in document.places:
        assert document.where(place).startswith(f"{path}:")


def settings(data: bytes) -> None:
    """A configuration: each problem names file and line."""
    path = _file(data)
    for load in (load_run, load_backtest):
        try:
            load(path)
        except SettingsError as error:
            for line in str(error).splitlines():
                assert re.match(rf"{re.escape(str(path))}:\d+", line), line


def condition(data: bytes) -> None:
    """A condition as text; what reads is printed and read again the same."""
    try:
        found = parse(data.decode("utf-8", "replace"))
    except ConditionError:
        return
    printed = str(found)
    if printed.count("(") < 150:  # Python reads 200 brackets within each other, and "--x" prints with one for each sign
        assert parse(printed) == found


def order_answer(data: bytes) -> None:
    """An exchange's answer to an order."""
    text = data.decode("utf-8", "replace")
    for venue in ("gate", "mexc"):
        for status in (200, 400, 500):
            found = reply_of(venue, status, text)
            assert isinstance(found, Accepted | RefusedByVenue | Unclear)
            assert status == 200 or not isinstance(found, Accepted)
            assert status == 400 or not isinstance(found, RefusedByVenue)


def command(data: bytes) -> None:
    """A line at the control socket."""

    async def act(asked):
        assert asked.name in NAMES
        return {"ok": True}

    step = Control(Path("unused"), act)._answer(data)
    try:
        step.send(None)
    except StopIteration as ended:
        assert isinstance(ended.value["ok"], bool)
    else:
        raise AssertionError("a command waits for nothing here")


def fact(data: bytes) -> None:
    """A line of a journal; what reads is written the same."""
    try:
        found = decode(data.decode("utf-8", "replace"))
    except CodecError:
        return
    try:
        text = encode(found)
    except CodecError:
        return
    assert encode(decode(text)) == text


class _Any:
    STATE = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, 2


def snapshot(data: bytes) -> None:
    """A snapshot; one that cannot be read sets nothing."""
    part = _Any()
    try:
        CODER.restore(data.decode("utf-8", "replace"), {"one": part})
    except StateError:
        assert (part.a, part.b) == (1, 2)


def vendor_rows(data: bytes) -> None:
    """Rows of a vendor's answer: read, or put aside with the reason."""
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError):
        return
    rows = rows if isinstance(rows, list) else [rows]
    for endpoint in ENDPOINTS:
        page = page_of(endpoint, rows)
        assert page.length == len(rows)
        assert len(page.rows) + len(page.aside) <= len(rows)


def vendor_price(data: bytes) -> None:
    """A frame of a vendor's stream of prices."""
    found = price_of(data.decode("utf-8", "replace"))
    assert found is None or 0 < found[2] < float("inf")


@dataclass(frozen=True)
class Parser:
    """A parser by name, with the folder of its corpus."""

    name: str
    run: object

    @property
    def corpus(self) -> Path:
        return CORPUS / self.name

    def seeds(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.corpus.iterdir())]


PARSERS = {
    run.__name__: Parser(run.__name__, run)
    for run in (
        payload, envelope, foreign, yaml, settings, condition, order_answer, command, fact, snapshot, vendor_rows, vendor_price,
    )
}  # fmt: skip


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def _file(data: bytes) -> Path:
    path = _folder() / "file.yaml"
    path.write_bytes(data)
    return path
