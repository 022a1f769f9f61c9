"""The commands for signals of other services: what one would become here, and what to paste there. Nothing is sent."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from trader.cli_facts import facts_of
from trader.cli_shared import CODES, AsJson, instant_of, loaded, run_now
from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from trader.adapters.foreign import Translated
    from trader.core.facts import Fact
    from trader.ports import Journal
    from trader.run_settings import Run

EXAMPLES = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "BNB/USDT")
LARGEST = 1_000_000


def register(signals: typer.Typer) -> None:
    """Add the commands to `trader signal`."""
    signals.command("explain-payload", epilog=CODES)(explain_payload)
    signals.command("template", epilog=CODES)(template)


def explain_payload(
    file: Annotated[Path, typer.Argument(help="The body as it comes; - = standard input.")] = Path("-"),
    config: Annotated[
        Path | None,
        typer.Option(
            help="The YAML file of a run: its universe, its rules, and what it knows; none = some usual pairs.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--format", help="The only format that is taken; none = any.", show_default=False)
    ] = "",
    kind: Annotated[
        str,
        typer.Option(
            help="What a buy or sell becomes; none = the kind that the run's strategy reads.", show_default=False
        ),
    ] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="A file with the secret that the body must hold.", show_default=False)
    ] = None,
    at: Annotated[str, typer.Option(help="When it comes, UTC; none = now.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Say how a payload of TradingView, 3Commas, OctoBot ... is read, what it becomes, and how it would end at the door.

    A dry run: nothing is sent and nothing is written. The exit code is 4 where it would not be handled.

    \b
    Examples:
      trader signal explain-payload alert.json --config config/paper.yaml
      trader signal template tradingview --example | trader signal explain-payload
      trader signal explain-payload alert.txt --format octobot --json
    """
    from trader.adapters.foreign import KIND, NAMES, Foreign
    from trader.ports import PayloadError

    if name and name not in NAMES:
        raise Failure(f"--format {name!r}: allowed are {', '.join(NAMES)}")
    settings, strategy = (None, None) if config is None else loaded(config)
    usual = KIND if strategy is None else next(iter(strategy.wants.signals), KIND)
    universe = EXAMPLES if settings is None else tuple(settings.assets)
    now = instant_of("--at", at) if at else datetime.now(UTC)
    secrets = {} if secret_file is None else {"file": _secret_in(secret_file)}
    body = _body_of(file)
    try:
        found = Foreign(kind or usual).read(
            body, format=name or None, secrets=secrets, universe=universe, received_at=now
        )
    except PayloadError as error:
        if as_json:
            print(json.dumps({"version": 1, "outcome": error.outcome, "why": error.why}, indent=2))
            raise typer.Exit(REFUSED) from error
        raise Failure(f"{error.outcome}: {error.why}", REFUSED) from error
    outcome, why = _at_the_door(found, settings, config, now)
    _show(found, outcome, why, universe if settings is None else (), as_json=as_json)
    if outcome:
        raise typer.Exit(REFUSED)


def template(
    name: Annotated[str, typer.Argument(help="Which one; none = list them.", show_default=False)] = "",
    example: Annotated[bool, typer.Option("--example", help="As it arrives, with the placeholders filled in.")] = False,
) -> None:
    """Print the alert text to paste at another service, and what its fields are for.

    \b
    Examples:
      trader signal template
      trader signal template tradingview
      trader signal template 3commas --example
    """
    from trader.adapters.foreign_templates import TEMPLATES

    if not name:
        for one in TEMPLATES:
            print(f"{one.name:22} {one.where}")
        return
    found = next((one for one in TEMPLATES if one.name == name), None)
    if found is None:
        raise Failure(f"template {name!r}: there are {', '.join(one.name for one in TEMPLATES)}")
    print(found.example if example else found.text)
    if example:
        return
    print(f"\nwhere: {found.where}", file=sys.stderr)  # stderr: what stands on stdout can be pasted as it is
    for field, meaning in found.fields:
        print(f"{field:30} {meaning}", file=sys.stderr)


def _show(found: "Translated", outcome: str, why: str, examples: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        whole = {
            "version": 1, "format": found.format, "notes": found.notes, "message": json.loads(found.message), "key": found.key,
            "claimed_at": None if found.claimed_at is None else found.claimed_at.isoformat(), "outcome": outcome, "why": why,
        }  # fmt: skip
        print(json.dumps(whole, indent=2))
        return
    for note in found.notes:
        print(f"  {note}")
    if examples:
        print(f"  no --config: the universe is taken to be {', '.join(examples)}")
    print(json.dumps(json.loads(found.message), indent=2))
    print(f"key: {found.key or 'its content'}")
    print(f"at the door: {outcome or 'it would be handled'}{f' ({why})' if why else ''}")


def _body_of(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read(LARGEST)
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST)
    except OSError as error:
        raise Failure(
            f"{file}: {error.strerror or error}; name a file with one payload, or - for standard input"
        ) from error


def _secret_in(file: Path) -> str:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"--secret-file {file}: {getattr(error, 'strerror', None) or error}") from error
    if not secret:
        raise Failure(f"--secret-file {file}: is empty; write the secret and nothing else into it")
    return secret


class _Recorded:
    """What a run wrote down, as far as a door asks for it: nothing can be written here."""

    def __init__(self, facts: "Sequence[Fact]") -> None:
        from trader.core.records import SignalReceived

        self._digests = {one.key: one.digest for one in reversed(facts) if isinstance(one, SignalReceived)}

    async def digest_of(self, key: str) -> str | None:
        return self._digests.get(key)


class _At:
    """A clock that stands at an instant."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        del seconds


def _at_the_door(found: "Translated", settings: "Run | None", config: Path | None, now: datetime) -> tuple[str, str]:
    """How the run's own inbox would judge the message, knowing what the run knows; prices are not known here."""
    from trader.adapters.payloads import Payloads
    from trader.core.records import SignalReceived
    from trader.intake import rules_of
    from trader.ports import Message
    from trader.runtime.inbox import Inbox, Rules

    facts = [] if config is None else _facts(config)
    assets = frozenset(EXAMPLES if settings is None else settings.assets)
    journal = cast("Journal", _Recorded(facts))  # a door asks it for nothing else
    inbox = Inbox(
        Payloads().read, journal, _At(now), assets=assets, rules=Rules() if settings is None else rules_of(settings),
        price=lambda _asset: None,
    )  # fmt: skip
    for fact in facts:
        inbox.fold(fact)

    async def nobody() -> None:
        pass

    taken = run_now(inbox.take(Message("webhook", "", found.message, nobody)))
    receipt = next(one for one in taken.receipts if isinstance(one, SignalReceived))
    return receipt.outcome, receipt.why


def _facts(config: Path) -> "list[Fact]":
    try:
        return facts_of(config)
    except Failure as failure:
        if failure.code == NOT_READY:  # nothing was run yet: the door knows nothing
            return []
        raise
