"""The commands around a change of configuration: plan it, apply it while the bot runs, list and compare what was applied. It decides nothing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from trader.cli_facts import facts_of
from trader.cli_shared import CODES, AsJson, Config, asked, print_table, table_of
from trader.output import NOT_READY, REFUSED, Failure

if TYPE_CHECKING:
    from trader.core.records import ConfigApplied
    from trader.origins import Shown


def register(group: typer.Typer) -> None:
    """Add the commands to those around configurations."""
    group.command(epilog=CODES)(plan)
    group.command(epilog=CODES)(apply)
    group.command(epilog=CODES)(versions)


def plan(config: Config, as_json: AsJson = False) -> None:
    """Ask the running bot what this file would change, key by key, and which orders would follow. Nothing is changed.

    Exit code 4: it could not be applied now, and why.

    \b
    Examples:
      trader config plan config/paper.yaml
      trader config plan config/paper.yaml --json
    """
    found = _planned(config)
    if as_json:
        print(json.dumps({"version": 1, **found}, indent=2))
    else:
        _tell(found)
    if found["refused"]:
        raise typer.Exit(REFUSED)


def apply(
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let the running bot go on with its file as it is now, between two turns: all of it or nothing.

    Strategy, limits, execution, costs and what may pass the door take effect at once; whatever else changed needs a restart, and is
    refused by name, and so is everything while an order is being sent or is unknown. SIGHUP does the same without asking.

    \b
    Examples:
      trader config apply config/paper.yaml
      trader config apply config/paper.yaml --yes
    """
    from trader.runtime.control import Command

    found = _planned(config)
    if Path(str(found["file"])) != config.resolve():
        raise Failure(f"the bot runs {found['file']}: change that file, then apply it", REFUSED)
    if not found["changes"]:
        print(f"nothing to apply: {_short(found['hash'])} counts already")
        return
    _tell(found)
    if found["refused"]:
        raise typer.Exit(REFUSED)
    if not yes and not typer.confirm("apply it?"):
        raise Failure("nothing was changed", REFUSED)
    done = asked(config, Command("apply", str(found["hash"])))
    print(f"{done['done']}: {_short(done['hash'])} counts from now on")


def _planned(config: Path) -> dict[str, object]:
    from trader.runtime.control import Command

    return asked(config, Command("plan", str(config.resolve())))


def _tell(found: Mapping[str, object]) -> None:
    changes = cast("Sequence[Mapping[str, object]]", found["changes"])
    print(f"counts now  {_short(found['now'])}\nthe file    {_short(found['hash'])}")
    if not changes:
        print("nothing would change")
    wide = max((len(str(one["key"])) for one in changes), default=0)
    for one in changes:
        print(f"  {one['key']!s:{wide}}  {one['before']} -> {one['after']}  ({one['effect']})")
    for reason in cast("Sequence[str]", found["refused"]):
        print(f"cannot be applied now: {reason}")
    would, anyway = (cast("Mapping[str, object] | None", found[name]) for name in ("would", "anyway"))
    if would is None:
        return
    print("if all that is known had just become known, this would follow:")
    _tell_orders(would)
    if changes:
        print("and the same as without the change" if would == anyway else "and without the change:")
        if anyway is not None and would != anyway:
            _tell_orders(anyway)


def _tell_orders(would: Mapping[str, object]) -> None:
    if would["failed"]:
        print(f"  the strategy raises {would['failed']}")
    rows = cast("Sequence[Mapping[str, object]]", would["orders"])
    for one in rows:
        amount = f"for {one['spend']}" if one["quantity"] is None else one["quantity"]
        print(f"  {one['side']:4} {one['asset']} {amount}  ({one['why']})")
    for one in cast("Sequence[Mapping[str, object]]", would["refused"]):
        print(f"  refused {one['asset']}: {one['rule']}")
    if not rows and not would["failed"]:
        print("  no order")


def versions(config: Config, as_json: AsJson = False) -> None:
    """List the configurations that counted, oldest first: when, which, and what each changed.

    \b
    Examples:
      trader config versions config/paper.yaml
      trader config versions config/paper.yaml --json
    """
    found = applied(config)
    if as_json:
        rows = [
            {"at": one.at.isoformat(), "hash": one.hash, "why": one.why, "changes": list(one.changes), "values": json.loads(one.values)}
            for one in found
        ]  # fmt: skip
        print(json.dumps({"version": 1, "versions": rows}, indent=2))
        return
    table = table_of("at", "hash", "by", "changes")
    for one in found:
        table.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", _short(one.hash), one.why, "\n".join(one.changes) or "-")
    print_table(table)


def applied(config: Path) -> "list[ConfigApplied]":
    """The configurations that a run applied, oldest first; raises Failure where there are none."""
    from trader.core.records import ConfigApplied

    found = [fact for fact in facts_of(config) if isinstance(fact, ConfigApplied)]
    if not found:
        raise Failure(f"{config}: no version is on record; a run writes one down when it starts", NOT_READY)
    return found


def side_of(text: str) -> "list[Shown]":
    """The values of a file, or of the version FILE@HASH that a run of it applied; raises SettingsError and Failure."""
    from trader.origins import Shown, effective, flat

    name, at, hash_ = text.rpartition("@")
    if not at or Path(text).exists():
        return effective(Path(text))
    found = {one.hash: one for one in applied(Path(name)) if one.hash.startswith(hash_)}
    if len(found) != 1:
        which = "no version" if not found else f"{len(found)} versions"
        raise Failure(
            f"{text}: {which} of {name} has a hash that begins with {hash_!r}; see: trader config versions {name}"
        )
    (one,) = found.values()
    origin = f"version {_short(one.hash)} of {one.at:%Y-%m-%d %H:%M:%S}"
    return [Shown(key, value, origin) for key, value in flat(json.loads(one.values)).items()]


def _short(hash_: object) -> str:
    return str(hash_)[:12]
