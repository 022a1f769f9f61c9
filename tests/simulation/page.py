"""The page of a proof: docs/reliability.json, and docs/reliability.md which is made from it."""

import json

INTRODUCTION = """# Reliability: what the simulation proved, and what it did not

This page is written by `make proof`; do not edit it. [Simulation](simulation.md) says what is simulated and how a story is told again.
"""


def written(found, folder):
    """Write both files."""
    (folder / "reliability.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "reliability.md").write_text(page_of(found), encoding="utf-8")


def page_of(found):
    """The page as Markdown."""
    parts = (_whole, _least, _rooms, _points, _faults, _met, _mutants)
    return INTRODUCTION + "\n" + "\n".join("\n".join(part(found)) + "\n" for part in parts)


def _whole(found):
    total, same = sum(found["schedules"].values()), found["same_seed"]
    parts = ", ".join(f"{number:,} {name}" for name, number in found["schedules"].items())
    never = [name for name, times in found["must_meet"].items() if not times]
    caught = sum(1 for one in found["mutants"] if one["plan"])
    visits = [visits for visits, _ in found["await_points"].values()]
    ends = [ends for _, ends in found["await_points"].values()]
    told = same.get("retold", 0)
    return [
        f"Commit `{found['commit']}`, Python {found['python']}, {found['minutes']} minutes with {found['jobs']} processes.", "",
        "| | |", "|---|---|",
        f"| schedules | {total:,} ({parts}) |",
        f"| of them share their beginning with another one | {found['branched']:,}; {told} of these were told again from it, {len(same.get('retold_differ', ()))} differ |",
        f"| a minute of processor | {total / max(found['cpu_minutes'], 0.01):,.0f} schedules |",
        f"| simulated | {found['simulated_hours']:,} hours, {found['steps']:,} steps, {found['lives']:,} lives, {found['orders']:,} orders at the venue |",
        f"| ends of lives at an await point or within a commit | {found['kills']:,}, {found['kills'] / max(total, 1):.2f} a schedule |",
        f"| violations | **{found['violations_count']}** |",
        f"| await points of the protocol | {len(visits)} known, {sum(map(bool, visits))} come to, {sum(map(bool, ends))} ended at |",
        f"| those of intake, submit, resolve and recover | {found['wanted_points']}, each ended at {_at_least(found['least_ended'])} times or more |",
        f"| states that must be met | {len(found['must_meet']) - len(never)} of {len(found['must_meet'])}, each {_at_least(found['least_met'])} times or more |",
        f"| planted bugs caught | {caught} of {len(found['mutants'])} |",
        f"| the same seed under {len(same['hash_seeds'])} orders of hashes | {same['seeds']} seeds, {len(same['differ'])} differ |",
        *[f"| violation | {one['what'][:200]} `{one['line']}` |" for one in found["violations"][:5]],
    ]  # fmt: skip


def _at_least(rows):
    return min((times for _, times in rows), default=0)


def _least(found):
    """What came least, of what is to come often."""
    still = [f"`{name}` ({why})" for name, why in found["still_points"].items()]
    return [
        "## What came least", "", "| await point | ends of lives |", "|---|---|",
        *[f"| `{name}` | {times:,} |" for name, times in found["least_ended"]],
        "", "| state | times |", "|---|---|",
        *[f"| {name} | {times:,} |" for name, times in found["least_met"]],
        "", f"No life can end here at: {'; '.join(still)}.",
    ]  # fmt: skip


def _rooms(found):
    return [
        "## Where lives ended",
        "",
        "| room | ends |",
        "|---|---|",
        *[f"| {name} | {times:,} |" for name, times in found["kills_by_room"].items()],
    ]


def _points(found):
    rows = [f"| `{name}` | {visits:,} | {ends:,} |" for name, (visits, ends) in found["await_points"].items()]
    said = "Steps that went on from each await of the source, and lives that ended there or in what it waits for. Behind a name with 0 stands an await that does not wait by itself here, or a place that the budget did not come to."
    return ["## Await points", "", said, "", "| await point | steps | ends |", "|---|---|---|", *rows]


def _faults(found):
    return [
        "## Faults",
        "",
        "| fault | times |",
        "|---|---|",
        *[f"| {name} | {times:,} |" for name, times in found["faults"].items()],
    ]


def _met(found):
    rows = [f"| {name} | {times:,} |" for name, times in found["must_meet"].items()]
    return [
        "## States that must be met",
        "",
        "A proof that never meets one of these fails.",
        "",
        "| state | times |",
        "|---|---|",
        *rows,
    ]


def _mutants(found):
    rows = [f"| {one['mutant']} | {_caught(one)} | {one['what'][:110].replace('|', '/')} |" for one in found["mutants"]]
    said = "Each is a patch of `tests/mutants` that was hunted in a copy of the tree: after how many stories the first one failed, which, and how."
    return ["## Planted bugs", "", said, "", "| patch | caught by | what broke |", "|---|---|---|", *rows]


def _caught(one):
    return f"story {one['number']}: {one.get('story', '')}" if one["plan"] else "**not caught**"
