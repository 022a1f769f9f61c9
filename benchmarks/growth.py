"""How the time of a replay grows with its data: each workload at an eighth, a quarter, a half and the whole, as a plot.

python benchmarks/growth.py [--svg docs/growth.svg] [--json build/bench/growth.json]

Best processor time of some repeats each, cold columns. A straight line of slope one is linear; the dashed lines are that.
"""

import argparse
import json
import math
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from ours import once, strategies_of, tape_of
from timing import seconds
from workloads import WORKS, make

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
LINES = {"W1": ("", 7), "W2": ("", 5), "W3": ("", 1), "W4": ("", 5), "W4 asked at every bar": ("every-bar", 2)}
COLOURS = ("#1f6f8b", "#c05746", "#4f772d", "#6d597a", "#b08900")
WIDTH, HEIGHT, EDGE = 640, 420, 60


def measured() -> dict[str, list[float]]:
    """Seconds of each workload at each share."""
    found: dict[str, list[float]] = {}
    for title, (style, repeats) in LINES.items():
        for share in SHARES:
            work = WORKS[title.split()[0]].scaled(share)
            tape, strategies = tape_of(work, make(work)), strategies_of(work, style)
            times, _ = seconds(lambda w=work, t=tape, s=strategies, how=style: once(w, t, s, how), repeats)
            found.setdefault(title, []).append(min(times))
        ratios = ", ".join(f"{time / found[title][0]:.2f}" for time in found[title])
        print(f"{title:24} {' '.join(f'{time * 1e3:9.1f}' for time in found[title])} ms   x {ratios}", flush=True)
    return found


def svg(found: dict[str, list[float]]) -> str:
    """Time over size, both logarithmic, each line beside its linear one."""
    every = [time for times in found.values() for time in times]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))

    def at(number: int, time: float) -> str:
        x = EDGE + number * (WIDTH - 4 * EDGE) / 3
        return f"{x:.1f},{HEIGHT - EDGE - (math.log10(time) - low) / (high - low) * (HEIGHT - 2 * EDGE):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{EDGE}" y="30" font-size="14">Processor time over the size of the data (dashed: linear)</text>',
    ]
    for power in range(low, high + 1):
        y = at(0, 10.0**power).split(",")[1]
        parts.append(f'<line x1="{EDGE}" x2="{WIDTH - 3 * EDGE}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
        parts.append(f'<text x="{EDGE - 8}" y="{y}" text-anchor="end" dy="4">{10.0**power:g} s</text>')
    parts += [
        f'<text x="{at(number, 10.0**low).split(",")[0]}" y="{HEIGHT - EDGE + 20}" text-anchor="middle">{2**number}x</text>'
        for number in range(4)
    ]
    for (title, times), colour in zip(found.items(), COLOURS, strict=True):
        line, straight = (
            " ".join(at(i, t) for i, t in enumerate(ts)) for ts in (times, [times[-1] / 2 ** (3 - i) for i in range(4)])
        )
        x, y = at(3, times[-1]).split(",")
        parts.append(
            f'<polyline points="{straight}" fill="none" stroke="{colour}" stroke-dasharray="3 4" opacity="0.6"/>'
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            f'<text x="{float(x) + 8}" y="{y}" dy="4" fill="{colour}">{title}, x {times[-1] / times[0]:.1f}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description="Growth of the time with the data.")
    root = Path(__file__).parents[1]
    parser.add_argument("--svg", type=Path, default=root / "docs" / "growth.svg")
    parser.add_argument("--json", type=Path, default=root / "build" / "bench" / "growth.json")
    asked = parser.parse_args()
    found = measured()
    asked.svg.write_text(svg(found))
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({"shares": SHARES, "seconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
