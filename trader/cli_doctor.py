"""`trader doctor` on the command line: a table or JSON, and an exit code that a script can wait for. It decides nothing."""

import dataclasses
import json
from typing import Annotated

import typer

from trader.cli_shared import CODES, AsJson, Config, run_now, setup_of

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL", "skip": "-   "}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command(epilog=CODES)(doctor)


def doctor(
    config: Config,
    as_json: AsJson = False,
    bind: Annotated[
        bool, typer.Option("--bind", help="Bind the key to the state folder now, whatever it was bound to.")
    ] = False,
) -> None:
    """Look at everything that a run needs before it starts: clock, disk, secrets, database, broker, venue, key, sizes, credits.

    Nothing is changed and nothing is sent. Exit code 0: ready; 3: something does not work yet; 4: something must not be traded with.

    \b
    Examples:
      trader doctor config/paper.yaml
      trader doctor config/live.yaml --json
      trader doctor config/live.yaml --bind
    """
    from trader.doctor import examine
    from trader.finding import code_of

    setup = setup_of(config)
    rows = run_now(examine(setup.whole, setup.mounts[0].strategy, config, binds=bind, setup=setup))
    code = code_of(rows)
    if as_json:
        plain = [dataclasses.asdict(one) for one in rows]
        print(json.dumps({"version": 1, "config": str(config), "exit": code, "rows": plain}, indent=2))
    else:
        wide = max(len(one.name) for one in rows)
        for one in rows:
            print(f"{MARKS[one.state]}  {one.name:{wide}}  {one.found}")
            if one.remedy:
                print(f"      {'':{wide}}  -> {one.remedy}")
        counts = {state: sum(one.state == state for one in rows) for state in ("fail", "warn", "ok")}
        word = {0: "ready", 3: "not ready", 4: "refused"}[code]
        print(f"{word}: {counts['fail']} failed, {counts['warn']} to look at, {counts['ok']} well")
    raise typer.Exit(code)
