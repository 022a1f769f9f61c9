"""Tries the mutants of one module: a fork for each, in which the tests that come to the changed lines run until one fails.

The tests are collected once. Where a change lies within a function, the fork puts the changed code into the functions that are there
already; where it acts at import, a fork of a process that has imported only what is not ours imports the changed module and collects anew.
"""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import hypothesis
import pytest

from tests.mutation.operators import Mutant, mutants

KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timed out"
OPTIONS = ("-q", "-s", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist")
SECONDS_LEAST = float(os.environ.get("MUTATION_SECONDS", "6"))
TIMES = 8.0  # a mutant may take so many times what its tests took


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves a changed source for one module."""

    def __init__(self, module: str, file: Path, source: str) -> None:
        self.module, self.file, self.source = module, file, source

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.module:
            return None
        return importlib.util.spec_from_file_location(name, self.file, loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.source, str(self.file), "exec", dont_inherit=True), module.__dict__)


def verbose() -> bool:
    """Whether a person looks for what is wrong with a run."""
    return bool(os.environ.get("MUTATION_VERBOSE"))


def forked(work: Callable[[], object], seconds: float) -> tuple[bool, Any]:
    """Whether a fork ended in time, and what its work returned (None where it died)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in () if verbose() else (0, 1, 2):
            os.dup2(nowhere, stream)
        said: object = None
        try:
            said = work()
        except BaseException as error:
            if verbose():
                traceback.print_exc()
            said = repr(error)
        finally:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(said, pipe)
            os._exit(0)
    os.close(writing)
    answer = b""
    timer = threading.Timer(seconds, lambda: os.kill(child, signal.SIGKILL))
    timer.start()
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    in_time = timer.is_alive()
    timer.cancel()
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what its tests had begun
    return in_time, pickle.loads(answer) if answer else None


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all within it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes(one)


class Session:
    """A pytest plugin: instead of running the tests once it runs them for each mutant, in forks."""

    def __init__(self, file: Path, wanted: Sequence[Mutant], tell: Callable[[Mutant, str], None]) -> None:
        self.file, self.wanted, self.tell = file, wanted, tell
        self.source = file.read_text(encoding="utf-8")
        self.failed = False
        self.ran: dict[str, tuple[float, frozenset[int]]] = {}
        self.left: list[Mutant] = []
        self.wrong = "pytest collected nothing"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed or not session.items:
            self.wrong = f"collected {len(session.items)} tests, {session.testsfailed} errors"
            return True
        in_time, ran = forked(lambda: self._trace(session.items), 600)
        if not in_time or not isinstance(ran, dict):
            self.wrong = "the tests fail without any change" + ("" if ran is None else f": {ran}")
            return True
        self.ran, self.wrong = ran, ""
        functions = [one for one in gc.get_objects() if isinstance(one, FunctionType)]
        ours = [one for one in functions if one.__code__.co_filename == str(self.file)]
        for mutant in self.wanted:
            if mutant.function is None:
                self.left.append(mutant)
            else:
                self._try(mutant, session.items, ours)
        return True

    def _trace(self, items: Sequence[pytest.Item]) -> object:
        """Seconds and lines of each test; a text where one fails."""
        name, lines = str(self.file), set[int]()

        def local(frame: FrameType, event: str, _arg: object) -> Any:
            lines.add(frame.f_lineno)
            return local

        def outer(frame: FrameType, event: str, _arg: object) -> Any:
            if frame.f_code.co_filename != name:
                return None
            lines.add(frame.f_lineno)
            return local

        found: dict[str, tuple[float, frozenset[int]]] = {}
        for place, item in enumerate(items):
            lines.clear()
            began = time.monotonic()
            threading.settrace(outer)
            sys.settrace(outer)
            following = items[place + 1] if place + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            sys.settrace(None)
            if self.failed:
                return item.nodeid
            found[item.nodeid] = (time.monotonic() - began, frozenset(lines))
        return found

    def _try(self, mutant: Mutant, items: Sequence[pytest.Item], ours: Sequence[FunctionType]) -> None:
        span = set(range(mutant.lines[0], mutant.lines[1] + 1))
        due = [item for item in items if self.ran[item.nodeid][1] & span]
        due.sort(key=lambda item: self.ran[item.nodeid][0])
        if not due:  # unless it runs while the module is imported, such as what builds a table
            self.left.append(mutant)
            return
        seconds = max(SECONDS_LEAST, TIMES * sum(self.ran[item.nodeid][0] for item in due))
        in_time, said = forked(lambda: self._changed(mutant, due, ours), seconds)
        if said == "elsewhere":
            self.left.append(mutant)
        else:
            self.tell(mutant, SURVIVED if said == SURVIVED else KILLED if in_time else TIMED_OUT)

    def _changed(self, mutant: Mutant, due: Sequence[pytest.Item], ours: Sequence[FunctionType]) -> str:
        """Put the changed code in place and run the tests until one fails."""
        assert mutant.function is not None
        module = compile(mutant.apply(self.source), str(self.file), "exec", dont_inherit=True)
        inside = mutant.function + "."
        fresh = {
            (one.co_qualname, one.co_firstlineno): one
            for one in codes(module)
            if one.co_qualname == mutant.function or one.co_qualname.startswith(inside)
        }
        touched = 0
        for function in ours:
            new = fresh.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
            if new is not None:
                try:
                    function.__code__ = new
                except ValueError:  # other names of the outside than before
                    return "elsewhere"
                touched += 1
        if not touched:
            return "elsewhere"
        for place, item in enumerate(due):
            following = due[place + 1] if place + 1 < len(due) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return KILLED
        return SURVIVED


def seconds_of(ran: dict[str, tuple[float, frozenset[int]]]) -> float:
    """What all tests took."""
    return sum(seconds for seconds, _ in ran.values())


def at_import(file: Path, module: str, tests: Sequence[str], mutant: Mutant) -> str:
    """Import the changed module and run the tests; in a fork that has imported nothing of ours."""
    source = mutant.apply(file.read_text(encoding="utf-8"))
    sys.meta_path.insert(0, Finder(module, file, source))
    return SURVIVED if pytest.main([*OPTIONS, "-x", *tests]) == pytest.ExitCode.OK else KILLED


@contextmanager
def one_server(tests: Sequence[str]) -> Iterator[None]:
    """One PostgreSQL for all mutants: in each fork it has been started already. Tests that kill it are left out by `targets.toml`."""
    if not any("postgres" in word for word in tests):
        yield
        return
    from tests.services import parts

    server = parts.Postgres().start()
    stop = server.stop
    parts.Postgres = lambda: server
    server.start, server.stop = lambda: server, lambda: None
    try:
        yield
    finally:
        stop()


def tried(root: Path, path: str, tests: Sequence[str], wanted: Sequence[Mutant], said: Path) -> None:
    """Try the wanted mutants of one module and write a line of JSON for each as it ends."""
    file, module = root / path, path.removesuffix(".py").replace("/", ".")
    with said.open("w", encoding="utf-8") as out:

        def tell(mutant: Mutant, verdict: str) -> None:
            out.write(json.dumps({**asdict(mutant), "verdict": verdict}) + "\n")
            out.flush()

        def whole() -> object:
            session = Session(file, wanted, tell)
            pytest.main([*OPTIONS, *tests], plugins=[session])
            outside = [name for name, one in list(sys.modules.items()) if _is_outside(root, one)]
            return session.wrong, seconds_of(session.ran), session.left, outside

        _, answer = forked(whole, 7200)
        if answer is None or answer[0]:
            out.write(json.dumps({"wrong": answer[0] if answer else "the run itself ended"}) + "\n")
            return
        _, seconds, left, outside = answer
        for name in outside if left else ():
            try:
                importlib.import_module(name)
            except (
                Exception
            ):  # only to have it loaded before the forks: what cannot be imported is loaded there, or fails there
                continue
        for mutant in left:
            in_time, verdict = forked(
                lambda one=mutant: at_import(file, module, tests, one), 3 * SECONDS_LEAST + TIMES * seconds
            )
            tell(mutant, verdict if verdict in {SURVIVED, KILLED} else KILLED if in_time else TIMED_OUT)
        out.write(json.dumps({"done": True, "seconds": seconds}) + "\n")


def _is_outside(root: Path, module: Any) -> bool:
    place = getattr(module, "__file__", None)
    return isinstance(place, str) and "site-packages" in place


def main() -> int:
    """Arguments: root, module's path, result file, a file of numbers of wanted mutants or `-`, then pytest's arguments."""
    root, path, said, numbers, *tests = sys.argv[1:]
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # a failure is enough: it need not be the smallest
    hypothesis.settings.register_profile("mutation", database=None, derandomize=True, deadline=None, phases=phases)
    hypothesis.settings.load_profile("mutation")
    found = list(mutants((Path(root) / path).read_text(encoding="utf-8")))
    wanted = found if numbers == "-" else [found[int(number)] for number in numbers.split(",")]
    with one_server(tests):
        tried(Path(root), path, tests, wanted, Path(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
