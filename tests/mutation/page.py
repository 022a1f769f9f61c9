"""The figures of mutation testing, as a line, as JSON and as the table of docs/mutation.md."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

COMMAND = "make mutation"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one module: equivalent ones are among those made, timed out ones among those killed."""

    part: str
    module: str
    made: int
    killed: int
    timed_out: int
    survived: int
    equivalent: int
    tests: str
    commit: str
    seconds: int

    @property
    def share(self) -> float:
        """Per cent killed of those that a test can notice."""
        return 100 * self.killed / max(1, self.made - self.equivalent)

    def line(self) -> str:
        """For a terminal."""
        return (
            f"{self.module:<40} {self.share:5.1f} %  made {self.made:4}  killed {self.killed:4}  (timed out {self.timed_out})  "
            f"survived {self.survived:3}  equivalent {self.equivalent:2}  {self.seconds} s"
        )


def named(module: str, row: Mapping[str, Any]) -> tuple[str, str, str]:
    """How equivalent.toml names a mutant: module, line, change."""
    return module, row["text"], f"{row['operator']}: {' '.join(row['old'].split())} -> {row['new']}"


def figures(result: Mapping[str, Any], known: Mapping[tuple[str, str, str], str]) -> Figures:
    """Count the verdicts of one module."""
    rows = result["rows"]
    alive = [row for row in rows if row["verdict"] in {"survived", "not reached"}]
    equal = [row for row in alive if named(result["module"], row) in known]
    timed_out = sum(row["verdict"] == "timed out" for row in rows)
    return Figures(
        result["part"], result["module"], len(rows), len(rows) - len(alive), timed_out,
        len(alive) - len(equal), len(equal), result["tests"], result["commit"], result["seconds"],
    )  # fmt: skip


def summed(part: str, some: Sequence[Figures]) -> Figures:
    """The figures of a part."""
    return Figures(
        part, f"**{part}**", sum(one.made for one in some), sum(one.killed for one in some), sum(one.timed_out for one in some),
        sum(one.survived for one in some), sum(one.equivalent for one in some), "", "", sum(one.seconds for one in some),
    )  # fmt: skip


def shortfalls(some: Iterable[Figures], floor: float) -> list[str]:
    """A sentence for each module below its floor."""
    return [f"{one.module}: {one.share:.1f} % killed, {floor} are required" for one in some if one.share < floor]


def written(
    folder: Path, results: Sequence[Mapping[str, Any]], known: Mapping[tuple[str, str, str], str], floor: float
) -> None:
    """Write mutation.json, and the table between its marks in mutation.md."""
    modules = [figures(one, known) for one in results]
    parts = {name: [one for one in modules if one.part == name] for name in dict.fromkeys(one.part for one in modules)}
    survivors = [
        {
            "module": one["module"],
            "line": row["line"],
            "change": named(one["module"], row)[2],
            "why": known.get(named(one["module"], row)),
        }
        for one in results
        for row in one["rows"]
        if row["verdict"] in {"survived", "not reached"}
    ]
    said = {"command": COMMAND, "floor": floor, "modules": [asdict(one) for one in modules], "alive": survivors}
    (folder / "mutation.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    lines = [
        "| module | made | killed | of them timed out | survived | equivalent | killed, % | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, some in parts.items():
        for one in (summed(name, some), *some):
            title = one.module if one.module.startswith("*") else f"`{one.module}`"
            lines.append(
                f"| {title} | {one.made} | {one.killed} | {one.timed_out} | {one.survived} | {one.equivalent} | {one.share:.1f} | {one.commit} |"
            )
    page = folder / "mutation.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(before + "\n".join([BEGIN, "", *lines, "", END]) + rest.partition(END)[2], encoding="utf-8")
