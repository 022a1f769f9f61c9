"""Strategies by name: the bundled ones, and a user's own class from a module or a file, with parameters from YAML.

Whatever is wrong ends as one StrategyLoadError naming the strategy, the parameter, what is allowed and the nearest
spelling.
"""

import difflib
import importlib
import importlib.util
import inspect
import math
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Literal, Union, cast, get_args, get_origin, get_type_hints

from strategies.follow_signal import FollowSignal
from strategies.index_mirror import IndexMirror
from strategies.moonshot_basket import MoonshotBasket
from strategies.rating_band import RatingBand
from strategies.rating_cross import RatingCross
from strategies.regime_gate import RegimeGate
from strategies.rules import Rules
from strategies.sma_cross import SmaCross
from strategies.top_rated import TopRated
from trader import Above, After, Below, Exit, FallBy, FallTo, Quote, RiseBy, RiseTo, Strategy, TrailBy, Units

EXITS: dict[str, Callable[..., Exit]] = {
    "fall_by": FallBy,
    "rise_by": RiseBy,
    "trail_by": TrailBy,
    "fall_to": FallTo,
    "rise_to": RiseTo,
    "after": After,
    "below": Below,
    "above": Above,
}


class StrategyLoadError(ValueError):
    """A strategy that cannot be loaded or whose parameters are wrong."""


def registry() -> dict[str, type]:
    """The bundled strategies by name."""
    bundled = (
        FollowSignal, IndexMirror, MoonshotBasket, RatingBand, RatingCross, RegimeGate, Rules, SmaCross, TopRated,
    )  # fmt: skip
    return {strategy.__name__: strategy for strategy in bundled}


def load(name: str, parameters: Mapping[str, object] | None = None) -> Strategy:
    """Build a strategy: a bundled name, `module:Class` or `path/to/file.py:Class`, with its parameters."""
    found = find(name)
    return _built(found, {} if parameters is None else parameters)


def find(name: str) -> type:
    """The class of a bundled name, `module:Class` or `path/to/file.py:Class`."""
    if not isinstance(name, str):
        raise StrategyLoadError(f"strategy {name!r} is no name; allowed are {', '.join(registry())}")
    if ":" not in name:
        if name in registry():
            return registry()[name]
        raise StrategyLoadError(
            f"strategy {name!r} is unknown; {_near(name, registry())}allowed are {', '.join(registry())}, "
            "module:Class and path/to/file.py:Class"
        )
    place, _, class_name = name.rpartition(":")
    module = _module(name, place)
    found = getattr(module, class_name, None)
    if isinstance(found, type) and hasattr(found, "decide") and is_dataclass(found):
        return found
    classes = [key for key, value in vars(module).items() if isinstance(value, type) and hasattr(value, "decide")]
    problem = f"{place} has no class {class_name!r}" if found is None else f"{class_name} is no strategy dataclass"
    raise StrategyLoadError(
        f"strategy {name!r}: {problem}; {_near(class_name, classes)}"
        f"a strategy is a frozen dataclass with wants and decide(view); there are {', '.join(classes) or 'none'}"
    )


def _module(name: str, place: str) -> types.ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        title = "user_strategy_" + "".join(c if c.isalnum() else "_" for c in place)
        spec = importlib.util.spec_from_file_location(title, place)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[title] = module  # dataclasses look their module up by name
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may fail in any way; the load error carries it
        raise StrategyLoadError(
            f"strategy {name!r} cannot be loaded: {type(error).__name__}: {error}; give module:Class or path/to/file.py:Class"
        ) from error
    return module


def _built(strategy: type, parameters: Mapping[str, object]) -> Strategy:
    if not isinstance(parameters, Mapping):
        raise StrategyLoadError(
            f"{strategy.__name__}: parameters = {parameters!r} must be a mapping of names to values"
        )
    allowed = {field.name for field in fields(strategy) if field.init}
    hints = get_type_hints(strategy)
    values: dict[str, object] = {}
    for key, value in parameters.items():
        if key not in allowed:
            names = ", ".join(sorted(allowed))
            raise StrategyLoadError(
                f"{strategy.__name__}: parameter {key!r} is unknown; {_near(str(key), allowed)}allowed are {names}"
            )
        values[str(key)] = _read(f"{strategy.__name__}: {key}", value, hints.get(str(key), object))
    try:
        inspect.signature(strategy).bind(**values)
        return cast(Strategy, strategy(**values))
    except StrategyLoadError:
        raise
    except (ValueError, TypeError) as error:
        text = str(error)
        prefix = "" if text.startswith(strategy.__name__) else f"{strategy.__name__}: "
        raise StrategyLoadError(prefix + text) from error


def _read(where: str, value: object, hint: object) -> object:
    """A YAML value as the parameter's type; StrategyLoadError when it cannot be."""
    options = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    if isinstance(value, Mapping):
        return _read_mapping(where, value, options)
    if value is None and type(None) in options:
        return None
    for option in options:
        if get_origin(option) is tuple:
            if isinstance(value, list | tuple):
                return tuple(_read(f"{where}[{i}]", one, get_args(option)[0]) for i, one in enumerate(value))
        elif get_origin(option) is Literal:
            if value in get_args(option):
                return value
        elif _fits(value, option):
            return float(cast(float, value)) if option is float else value
    raise StrategyLoadError(f"{where} = {value!r} is of the wrong type; allowed is {_allowed(options)}")


def _read_mapping(where: str, value: Mapping[object, object], options: tuple[object, ...]) -> object:
    if Strategy in options:
        if set(value) <= {"name", "parameters"} and "name" in value:
            return load(str(value["name"]), cast(Mapping[str, object], value.get("parameters", {})))
        raise StrategyLoadError(f"{where} = {dict(value)!r} is no strategy; write name: and parameters:")
    if Quote in options:
        if len(value) == 1 and "quote" in value:
            return Quote(cast(float, _read(f"{where}.quote", value["quote"], float)))
        if len(value) == 1 and "units" in value:
            return Units(cast(float, _read(f"{where}.units", value["units"], float)))
        near = _near(str(next(iter(value), "")), ("quote", "units"))
        raise StrategyLoadError(
            f"{where} = {dict(value)!r} is no size; {near}allowed are 0.1, quote: 250 and units: 10"
        )
    if FallBy in options:
        return _read_exit(where, value)
    return dict(value) if object in options else _refuse(where, value, options)


def _read_exit(where: str, value: Mapping[object, object]) -> Exit:
    names = [str(key) for key in value if key not in {"share", "kind"}]
    if len(names) != 1 or names[0] not in EXITS:
        near = _near(names[0], EXITS) if names else ""
        raise StrategyLoadError(
            f"{where} = {dict(value)!r} is no exit; {near}write one of {', '.join(EXITS)}, such as fall_by: 0.1, "
            "and if wanted share: (of the holding) and, for below and above, kind:"
        )
    name = names[0]
    first = _read(f"{where}.{name}", value[name], str if name == "after" else float)
    rest = {str(key): one for key, one in value.items() if key != name}
    if "share" in rest:
        rest["share"] = _read(f"{where}.share", rest["share"], float)
    if "kind" in rest:
        rest["kind"] = _read(f"{where}.kind", rest["kind"], str)
    try:
        return EXITS[name](first, **rest)
    except (ValueError, TypeError) as error:
        raise StrategyLoadError(f"{where}: {error}") from error


def _fits(value: object, option: object) -> bool:
    if option is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if option is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if option is Strategy:
        return hasattr(value, "decide") and hasattr(value, "wants")
    return isinstance(value, option) if isinstance(option, type) else True


def _refuse(where: str, value: object, options: tuple[object, ...]) -> object:
    raise StrategyLoadError(f"{where} = {value!r} is of the wrong type; allowed is {_allowed(options)}")


def _allowed(options: tuple[object, ...]) -> str:
    plain = {float: "a number", int: "a whole number", str: "a text", bool: "true or false", type(None): "none"}
    words = []
    for option in options:
        if option in (Quote, Units):
            words.append("quote: 250" if option is Quote else "units: 10")
        elif get_origin(option) is Literal:
            words.extend(map(str, get_args(option)))
        elif get_origin(option) is tuple:
            words.append("a list")
        else:
            words.append(plain.get(cast(type, option), getattr(option, "__name__", str(option))))
    return " or ".join(words)


def _near(word: str, allowed: object) -> str:
    near = difflib.get_close_matches(word, list(cast(list[str], allowed)), 1, 0.5)
    return f"did you mean {near[0]}? " if near else ""


def largest_size(strategy: object) -> float | Quote | Units | None:
    """The size of a single target that a strategy states, from its parameters; None where they do not tell."""
    inner = getattr(strategy, "inner", None)
    if inner is not None:
        return largest_size(inner)
    if isinstance(strategy, TopRated):
        return strategy.invest / strategy.top
    if isinstance(strategy, MoonshotBasket):
        return strategy.invest / strategy.most
    size = getattr(strategy, "size", None)
    return size if isinstance(size, float | Quote | Units) else None
