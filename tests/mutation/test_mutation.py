"""The tool that breaks the code must itself be able to fail: what survives survives, what is killed is killed, what never ends is ended."""

import json
import tomllib

import pytest

from tests.mutation.__main__ import HERE, ROOT, equivalents, show, targets, try_module
from tests.mutation.operators import changes, mutants
from tests.mutation.page import BEGIN, END, figures, named, shortfalls, written

SOURCE = '''"""A module."""
LIMIT = 3


def over(a: int | None, b: int = 2) -> bool:
    """Whether a is over b."""
    return a > b


def used() -> int:
    return LIMIT


def below(count: int) -> int:
    while count > 0:
        count -= 1
    return count
'''
TESTS = """from sums import below, over, used


def test_over():
    assert over(3, 1) is True
    assert over(1, 3) is False


def test_the_rest():
    assert used() > 2
    assert below(2) == 0
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "sums.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "test_sums.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


def chosen(source, *names):
    return [place for place, one in enumerate(mutants(source)) if one.name in names]


def test_what_survives_and_what_is_killed_are_told_apart(project):
    names = (
        "compare: > -> >=",
        "return: return a > b -> return None",
        "constant: 3 -> 4",
        "constant: 2 -> 3",
        "drop: count -= 1 -> pass",
    )
    found = try_module(project, "sums.py", ["test_sums.py"], chosen(SOURCE, *names), least=1.0)
    assert {(row["text"], row["operator"]): row["verdict"] for row in found} == {
        ("return a > b", "compare"): "survived",
        ("return a > b", "return"): "killed",
        ("LIMIT = 3", "constant"): "survived",  # tried by importing it anew
        ("def over(a: int | None, b: int = 2) -> bool:", "constant"): "survived",
        ("while count > 0:", "compare"): "killed",
        ("count -= 1", "drop"): "timed out",
    }
    assert (project / "sums.py").read_text(encoding="utf-8") == SOURCE


def test_tests_that_fail_without_a_change_prove_nothing(project):
    (project / "test_sums.py").write_text(TESTS.replace("> 2", "> 3"), encoding="utf-8")
    with pytest.raises(RuntimeError, match="the tests fail without any change"):
        try_module(project, "sums.py", ["test_sums.py"], chosen(SOURCE, "compare: > -> >="))


def made(source):
    return [one.name for one in mutants(source)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = a < b", ["compare: < -> <="]),
        ("x = a if b else c", ["negate: b -> (not (b))"]),
        ("x = a if not b else c", ["unary: not b -> (b)"]),
        ("x = a and b", ["operand: a and b -> (a)", "operand: a and b -> (b)"]),
        ("x = a + 1", ["compute: + -> -", "constant: 1 -> 2"]),
        ("x += 1.5", ["drop: x += 1.5 -> pass", "compute: += -> -=", "constant: 1.5 -> 2.5"]),
        ("x = True", ["constant: True -> False"]),
        ("x = 'code'", ["constant: 'code' -> 'codeXX'"]),
        ("x = 'a text for people'", []),
        ("x: int | None = None", []),
        ("raise ValueError('code')", ["drop: raise ValueError('code') -> pass"]),
        ("def f():\n    return 1", ["return: return 1 -> return None", "constant: 1 -> 2"]),
        ("for x in y:\n    if x:\n        continue", ["negate: x -> (not (x))", "drop: continue -> pass"]),
        ("a.b = c", ["drop: a.b = c -> pass"]),
        ("f(x)", ["drop: f(x) -> pass"]),
        ('def f():\n    """Text."""', []),
        ("assert a < b", []),
        ("if TYPE_CHECKING:\n    import a", []),
        ("__slots__ = ('a',)", []),
        ("@dataclass(frozen=True)\nclass A:\n    b: int = 0", ["constant: 0 -> 1"]),
        ("x = f'{a + 1} over'", []),
    ],
)
def test_which_changes_are_made(source, found):
    assert sorted(made(source)) == sorted(found)


def test_each_change_changes_its_own_place_and_knows_its_function():
    found = list(mutants("class A:\n    def b(self):\n        return self.c > 1\n\nD = 1 if e else 2  # ä\n"))
    assert {one.function for one in found} == {"A.b", None}
    assert {
        one.apply("class A:\n    def b(self):\n        return self.c > 1\n\nD = 1 if e else 2  # ä\n").count("\n")
        for one in found
    } == {5}
    assert [one.line for one in found] == [3, 3, 3, 5, 5, 5]


def test_the_page_counts_what_can_be_noticed(tmp_path, capsys):
    def row(line, verdict):
        return {
            "line": line,
            "text": f"line {line}",
            "operator": "compare",
            "old": "<",
            "new": "<=",
            "verdict": verdict,
        }

    rows = [row(1, "killed"), row(2, "timed out"), row(3, "survived"), row(4, "survived")]
    result = {
        "module": "a.py",
        "part": "risk",
        "tests": "tests",
        "source": "",
        "commit": "abc",
        "seconds": 1,
        "rows": rows,
    }
    known = {named("a.py", rows[3]): "the same"}
    found = figures(result, known)
    assert (found.made, found.killed, found.timed_out, found.survived, found.equivalent) == (4, 2, 1, 1, 1)
    assert found.share == pytest.approx(200 / 3)
    assert shortfalls([found], 66) == []
    assert shortfalls([found], 67) == ["a.py: 66.7 % killed, 67 are required"]
    show([result], known)
    assert capsys.readouterr().out == "a.py:3 [survived] compare: < -> <=   | line 3\n"
    (tmp_path / "mutation.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    written(tmp_path, [result], known, 90)
    page = (tmp_path / "mutation.md").read_text(encoding="utf-8")
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "| `a.py` | 4 | 2 | 1 | 1 | 1 | 66.7 | abc |" in page
    said = json.loads((tmp_path / "mutation.json").read_text(encoding="utf-8"))
    assert [(one["line"], one["why"]) for one in said["alive"]] == [(3, None), (4, "the same")]


def test_what_is_named_is_there():
    """Modules, tests, and each mutant that is called equivalent: one that is no more must be taken off the list."""
    every, floor = targets(HERE / "targets.toml")
    assert floor >= 90
    for path, (_, tests) in every.items():
        files = [word for word in tests if word.startswith("tests/")]
        assert (ROOT / path).is_file(), path
        assert files, path
        assert all((ROOT / file).exists() for file in files), path
    known = equivalents(HERE / "equivalent.toml")
    there = {
        (path, one.text, one.name)
        for path in {key[0] for key in known}
        for one in changes((ROOT / path).read_text(encoding="utf-8"))
    }
    assert set(known) - there == set()
    assert len(tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))["mutant"]) == len(known)
    assert all(len(reason) > 10 for reason in known.values())
