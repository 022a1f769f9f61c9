"""The bundled strategies as plain values: for a list, for machines, and for the schema that editors complete from."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from strategies import registry
from trader.output import plain

Described = dict[str, object]


def listed() -> list[Described]:
    """Every bundled strategy with what it does, its thesis and its parameters."""
    return [_described(name, strategy) for name, strategy in registry().items()]


def parameters_of(one: Mapping[str, object]) -> list[dict[str, object]]:
    """The parameters of a strategy that was listed."""
    found = one["parameters"]
    assert isinstance(found, list)
    return found


def with_strategies(schema: dict[str, object], strategies: Sequence[Described]) -> dict[str, object]:
    """The schema of a layout in which a bundled strategy's name says which parameters there are."""
    parts = schema.get("$defs")
    choice = parts.get("StrategyChoice") if isinstance(parts, dict) else None
    if choice is not None:
        choice["allOf"] = [
            {
                "if": {"properties": {"name": {"const": one["name"]}}},
                "then": {
                    "properties": {
                        "parameters": {
                            "additionalProperties": False,
                            "properties": {
                                str(p["name"]): {"description": f"default: {p.get('default', 'none, required')}"}
                                for p in parameters_of(one)
                            },
                        }
                    }
                },
            }
            for one in strategies
        ]
        choice["properties"]["name"]["examples"] = [one["name"] for one in strategies]
    return schema


def _described(name: str, strategy: type) -> Described:
    paragraphs = [" ".join(one.split()) for one in (strategy.__doc__ or "").split("\n\n")]
    thesis = next((one.removeprefix("Thesis: ") for one in paragraphs if one.startswith("Thesis: ")), "")
    parameters: list[dict[str, object]] = []
    for field in dataclasses.fields(strategy):
        if field.init:
            given = field.default is not dataclasses.MISSING
            parameters.append(
                {"name": field.name, **({"default": plain(field.default)} if given else {"required": True})}
            )
    return {
        "name": name,
        "does": paragraphs[0],
        "thesis": re.split(r"(?<=[.;]) ", thesis)[0].rstrip(";"),
        "parameters": parameters,
    }
