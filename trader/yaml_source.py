"""YAML files as plain values that remember where each of them was written.

YAML 1.2 through ruamel, so `ON` and `NO` are names and not booleans. It knows files and places, not what a key means;
whatever is wrong with the text itself ends as one YamlError that names file, line and column.
"""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

Key = str | int
Place = tuple[Key, ...]
BYTES_MOST = 1_000_000
VALUES_MOST = 50_000
DEEPEST = 40


class YamlError(ValueError):
    """A file that cannot be read as YAML; the message names file, line, column and what to do."""


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a YAML file and the places they came from."""

    file: str
    values: dict[str, object]
    places: dict[Place, tuple[int, int]] = field(repr=False)

    def where(self, place: Place) -> str:
        """`file:line:column` of a key, or of the nearest key around it."""
        for length in range(len(place), -1, -1):
            if place[:length] in self.places:
                line, column = self.places[place[:length]]
                return f"{self.file}:{line}:{column}"
        return self.file


def read(path: Path) -> Document:
    """Read one YAML file whose top is a mapping; raises YamlError."""
    text = _text(path)
    try:
        tree = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        raise YamlError(_marked(path, error)) from error
    except RecursionError as error:
        raise YamlError(f"{path}:1: nested too deeply; at most {DEEPEST} levels are allowed") from error
    except (YAMLError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise YamlError(f"{path}:1: cannot be read as YAML: {first}; save it as plain UTF-8 text") from error
    if tree is None:
        raise YamlError(f"{path}:1: is empty; `trader config init` writes a file that works")
    if not isinstance(tree, CommentedMap):
        raise YamlError(f"{path}:1:1: the file must be a mapping of keys to values, such as version: 1")
    reader = _Reader(path)
    reader.places[()] = (tree.lc.line + 1, tree.lc.col + 1)
    values = reader.mapping(tree, ())
    return Document(str(path), values, reader.places)


def scalar(text: str) -> object:
    """One value as YAML reads it, for text that comes from elsewhere (an environment variable)."""
    try:
        tree = YAML(typ="rt", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise YamlError("a text that cannot be read as a YAML value; put it in quotes") from error
    return _Reader(Path("environment")).value(tree, ())


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MOST + 1)
    except FileNotFoundError as error:
        near = _siblings(path)
        hint = f"; there are {', '.join(near)}" if near else ""
        raise YamlError(f"{path}: no such file{hint}; give the path of a YAML file") from error
    except OSError as error:
        raise YamlError(f"{path}: cannot be read: {error.strerror or error}; give the path of a YAML file") from error
    if len(raw) > BYTES_MOST:
        raise YamlError(
            f"{path}:1: is larger than {BYTES_MOST // 1000} kB; a configuration is small, data have files of their own"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise YamlError(f"{path}:{line}: byte {error.start + 1} is not UTF-8; save the file as UTF-8 text") from error


def _siblings(path: Path) -> list[str]:
    folder = path.parent
    return sorted(str(one) for one in folder.glob("*.y*ml"))[:6] if folder.is_dir() else []


def _marked(path: Path, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    if "expected ':'" in str(error.problem) and error.context_mark is not None:
        mark = error.context_mark  # the line without its colon, not the one after it
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else f"{path}:1"
    problem = " ".join(str(error.problem or error.context or "cannot be read").split())
    remedy = "check indentation, colons, brackets and quotes there"
    if "duplicate key" in problem:
        remedy = "write each key once"
    elif "'\\t'" in problem:
        remedy = "indent with spaces, not with tabs"
    return f"{where}: not valid YAML: {problem}; {remedy}"


class _Reader:
    """Turns ruamel's tree into plain values and notes line and column of each; counts, so that aliases cannot explode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[Place, tuple[int, int]] = {}
        self.count = 0

    def mapping(self, tree: CommentedMap, place: Place) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in tree.items():
            here = (*place, str(key))
            line, column = tree.lc.data[key][:2] if key in (tree.lc.data or {}) else (tree.lc.line, tree.lc.col)
            self.places[here] = (line + 1, column + 1)
            if not isinstance(key, str):
                raise YamlError(f"{self.at(here)}: key {key!r} is not a text; put it in quotes: '{key}'")
            values[str(key)] = self.value(value, here)
        return values

    def value(self, value: object, place: Place) -> object:
        self.count += 1
        if len(place) > DEEPEST or self.count > VALUES_MOST:
            raise YamlError(
                f"{self.at(place)}: too much: at most {DEEPEST} levels and {VALUES_MOST} values are allowed; "
                "look for an alias (*name) that repeats itself"
            )
        match value:
            case CommentedMap():
                return self.mapping(value, place)
            case CommentedSeq():
                for index in range(len(value)):
                    line, column = (value.lc.data or {}).get(index, (value.lc.line, value.lc.col))[:2]
                    self.places[(*place, index)] = (line + 1, column + 1)
                return [self.value(one, (*place, index)) for index, one in enumerate(value)]
            case bool() | None:
                return value
            case int():
                return int(value)
            case float():
                return float(value)
            case str():
                return str(value)
            case date():
                return value
        raise YamlError(
            f"{self.at(place)}: a value of this kind is not allowed; write plain text, numbers, lists and mappings"
        )

    def at(self, place: Place) -> str:
        for length in range(len(place), 0, -1):
            if place[:length] in self.places:
                line, column = self.places[place[:length]]
                return f"{self.path}:{line}:{column}"
        return str(self.path)
