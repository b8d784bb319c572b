"""What a value of a request may be: for the checks and for the description alike. Pure.

A limit stands in one place, beside the rule that needs it: the imports have them as msgspec's `Meta`
(`storage/sheets.py`, `geofence/imports/`). `as_field` turns one into pydantic's `Field`, by which
FastAPI checks a request and describes it. So whatever fits the description is taken, but for what no
JSON Schema can say: `tests/integration/test_api_schema.py` lists that.

Times of day and days are texts with a pattern: pydantic's own types also take numbers, and years that
no plan is for. The patterns are written so that Python, Rust (pydantic) and ECMAScript (JSON Schema)
read them alike.
"""

import re
from datetime import date
from typing import Annotated, Final, get_args

from msgspec import Meta
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from geofence.imports import needs, shapes
from storage import sheets

#: A body says nothing that is not read: a mistyped name would else be a change that never happens.
EXACT: Final = ConfigDict(extra="forbid")


def exact(example: dict[str, JsonValue]) -> ConfigDict:
    """Return how a body is read, and what one looks like."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


def as_field(kind: object, *, ge: float | None = None) -> FieldInfo:
    """Return what a type of the imports allows; `ge` is another least value than its own."""
    [meta] = [part for part in get_args(kind) if isinstance(part, Meta)]
    field: FieldInfo = Field(
        ge=meta.ge if ge is None else ge,
        le=meta.le,
        max_length=meta.max_length,
        pattern=meta.pattern and meta.pattern.replace(r"\ud800-\udfff", "").replace(r"\Z", "$"),
    )
    return field


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticCustomError("number", "Input should be a number")
    return value


#: Of a body: what pydantic reads as a number else are also "5" and true.
NUMBER: Final = BeforeValidator(_number)

Code = Annotated[str, as_field(sheets.Code)]
#: A name, or whatever else is one line: a person, a lot, a reason, an order's code.
Name = Annotated[str, as_field(sheets.Name)]
#: What is looked for or only compared; PostgreSQL's text holds every character but NUL.
NO_NUL: Final = r"^[^\x00]*$"
Text = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
#: A key of an object: with a pattern, pydantic would describe keys that it does not take.
Ref = Annotated[str, Field(min_length=1, max_length=64)]
Yes = StrictBool
Sscc = Annotated[
    str, Field(pattern="^[0-9]{18}$", description="The box's number, a check digit at its end.")
]

LatitudeDeg = Annotated[float, as_field(sheets.LatitudeDeg), NUMBER]
LongitudeDeg = Annotated[float, as_field(sheets.LongitudeDeg), NUMBER]
RadiusM = Annotated[float, as_field(shapes.RadiusM, ge=shapes.RADIUS_M_MIN), NUMBER]
HalfWidthM = Annotated[float, as_field(shapes.RadiusM), NUMBER]

Minutes = Annotated[float, as_field(needs.Minutes), NUMBER]
PackQuantity = Annotated[int, as_field(sheets.PackQuantity), NUMBER]
PartQuantity = Annotated[int, as_field(needs.Quantity), NUMBER]
#: Whether the last two are space is told differently by each dialect.
Skill = Annotated[str, Field(max_length=64, pattern=r"^[^\s;\x00-\x1f\x7f\x85\ufeff]+$")]

#: Every day from 2000 to 2099, and none that is in no calendar.
DAY: Final = (
    "(20[0-9]{2}-("
    "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))|20([02468][048]|[13579][26])-02-29)"
)
HOUR_MINUTE: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
MOMENT: Final = (
    f"{DAY}T{HOUR_MINUTE}(:[0-5][0-9]([.][0-9]{{1,6}})?)?(Z|[+-]{HOUR_MINUTE})"  # RFC 3339
)


def _day(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(DAY, value):
        raise PydanticCustomError("day", "Input should be a day like 2026-11-20, from 2000 to 2099")
    return value


Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{DAY}$"}),
]
LocalTime = Annotated[
    str,
    Field(
        pattern=f"^({HOUR_MINUTE}(:[0-5][0-9])?|{MOMENT})$",
        description="HH:MM at the site on the tour's day, or a time with an offset (RFC 3339).",
    ),
]
