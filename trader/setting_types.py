"""Types of single settings: each reads what a file gives, says what is allowed, and knows its JSON Schema.

`settings.py` and its neighbours make their layouts of these. Nothing here knows a file, the environment or a layout.
"""

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, WithJsonSchema

from trader import setting_values as read


def _number_or_percent(**limits: float) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": "number", **limits}, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$"}]}
    )


def _secret(value: object) -> object:
    """A secret as text: a number or a word that YAML reads as something else would come out as another secret."""
    if isinstance(value, SecretStr) or (isinstance(value, str) and value.strip()):
        return value
    raise ValueError("allowed is a text, in quotes where it looks like something else, such as '0123'")


def _text_schema(**more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


Share = Annotated[
    float,
    BeforeValidator(read.number("a share over 0 up to 1, such as 0.1 or 10%", lambda x: 0 < x <= 1)),
    _number_or_percent(exclusiveMinimum=0, maximum=1),
]
Cost = Annotated[
    float,
    BeforeValidator(read.number("a share from 0 up to 1, such as 0.002 or 0.2%", lambda x: 0 <= x < 1)),
    _number_or_percent(minimum=0, exclusiveMaximum=1),
]
Positive = Annotated[
    float,
    BeforeValidator(read.number("a finite number over 0, or a percent", lambda x: 0 < x < math.inf)),
    _number_or_percent(exclusiveMinimum=0),
]
Money = Annotated[
    float,
    BeforeValidator(read.money),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": read.MONEY}]}),
]
Count = Annotated[int, BeforeValidator(read.count), WithJsonSchema({"type": "integer", "minimum": 1})]
Whole = Annotated[int, BeforeValidator(read.whole), WithJsonSchema({"type": "integer", "minimum": 0})]
Port = Annotated[int, BeforeValidator(read.port), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65_535})]
Duration = Annotated[str, BeforeValidator(read.time_span), _text_schema(pattern=r"^\s*\d+(\.\d+)?\s*[a-z]+\s*$")]
Lasting = Annotated[str, BeforeValidator(read.lasting), _text_schema(pattern=r"^\s*\d+(\.\d+)?\s*[a-z]+\s*$")]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Instant = Annotated[
    datetime, BeforeValidator(read.instant), _text_schema(examples=["2024-01-31", "2024-01-31T06:00:00"])
]
File = Annotated[Path, BeforeValidator(read.path), _text_schema(minLength=1)]
Files = Annotated[
    tuple[Path, ...],
    BeforeValidator(read.paths),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Names = Annotated[tuple[str, ...], BeforeValidator(read.names)]
Columns = Annotated[dict[str, str], BeforeValidator(read.columns)]


class Part(BaseModel):
    """What all parts share: frozen, and no key that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)
