"""Coverage-guided fuzzing: `python -m tests.fuzz --seconds 60 [parser ...]`. It needs atheris (the extra `fuzz`).

Each parser runs in a process of its own. What breaks one is kept in the folder that is named at the end: look at it, correct the parser, and
put the input into tests/fuzz/corpus/PARSER, where the tests play it ever after. `--grow` keeps what reached new code there as well.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.parsers import PARSERS


def fuzz(name: str, seconds: int, found: Path) -> None:
    """Fuzz one parser in this process until the time is over or something breaks."""
    import atheris

    with atheris.instrument_imports(include=["trader", "json", "strategies"]):
        for module in [one for one in sys.modules if one.startswith(("trader", "strategies", "tests.fuzz.parsers"))]:
            del sys.modules[module]
        from tests.fuzz.parsers import PARSERS as instrumented

    parser = instrumented[name]
    arguments = [
        "fuzz", f"-max_total_time={seconds}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
        f"-artifact_prefix={found}/{name}-", str(found / name), str(parser.corpus),
    ]  # fmt: skip
    (found / name).mkdir(exist_ok=True)
    atheris.Setup(arguments, parser.run)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the parsers that are named, or all, one after the other."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("parsers", nargs="*", choices=[[], *PARSERS], help="which; none = all")
    asked.add_argument("--seconds", type=int, default=60, help="for each parser")
    asked.add_argument("--grow", action="store_true", help="keep what reached new code, minimised, in the corpus")
    asked.add_argument("--one", default="", help=argparse.SUPPRESS)
    asked.add_argument("--found", type=Path, default=None, help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.one:
        fuzz(options.one, options.seconds, options.found)
        return 0
    found = options.found or Path(tempfile.mkdtemp(prefix="fuzz-found-"))
    broken = []
    for name in options.parsers or PARSERS:
        print(f"== {name}", flush=True)
        again = [
            sys.executable,
            "-m",
            "tests.fuzz",
            "--one",
            name,
            "--seconds",
            str(options.seconds),
            "--found",
            str(found),
        ]
        done = subprocess.run(again, capture_output=True, text=True, errors="replace", check=False)
        said = (done.stdout + done.stderr).splitlines()
        print("\n".join(line for line in said if re.match(r"#\d+\s+DONE|stat::number_of_executed", line)), flush=True)
        if done.returncode:
            broken.append(name)
            print("\n".join(said[-60:]), flush=True)
        if options.grow:
            _grow(name, found / name)
    print(f"broken: {', '.join(broken) or 'none'}; what was found is in {found}")
    return 1 if broken else 0


def _grow(name: str, found: Path) -> None:
    """Keep a few of the inputs that reached new code: the smallest ones."""
    corpus = PARSERS[name].corpus
    for path in sorted(found.iterdir(), key=lambda one: (one.stat().st_size, one.name))[:40]:
        (corpus / path.name[:16]).write_bytes(path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
