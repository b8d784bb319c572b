"""The description of the API: an example of everything, and limits that are those of the imports."""

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from api import examples, limits
from api.app import create_app
from api.routes import orders
from geofence.imports.local_times import window
from ingest.messages import OrderReport
from storage import sheets
from storage.settings import Settings

Json = dict[str, Any]
#: The bytes of a page, or of a map, are nothing to read.
WITHOUT_EXAMPLE = ("application/pdf", "application/vnd.pmtiles")


@cache
def described() -> Json:
    return create_app(Settings.model_construct()).openapi()


def spoken() -> Iterator[tuple[str, Json]]:
    """Yield all that is sent or answered, and where: parameters, bodies and answers."""
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            route = f"{method.upper()} {path}"
            for parameter in operation.get("parameters", ()):
                yield f"{route} {parameter['name']}", parameter
            said = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for what, message in said.items():
                for media_type, content in message.get("content", {}).items():
                    if media_type not in WITHOUT_EXAMPLE:
                        yield f"{route} {what}", content


def examples_of(part: Json) -> list[Any]:
    """Return the examples of a parameter, a body or an answer: its own, or its schema's."""
    named = [example["value"] for example in part.get("examples", {}).values()]
    own = [part["example"]] if "example" in part else []
    schema = part.get("schema", {})
    if "$ref" in schema:
        schema = described()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return named + own + list(schema.get("examples", []))


def test_every_parameter_body_and_answer_has_an_example() -> None:
    assert [where for where, part in spoken() if not examples_of(part)] == []


def test_every_example_is_what_its_own_schema_says() -> None:
    components = described()["components"]
    wrong = []
    for where, part in spoken():
        judge = Draft202012Validator(
            {**part.get("schema", {}), "components": components},
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )
        wrong += [
            f"{where}: {error.message}"
            for example in examples_of(part)
            for error in judge.iter_errors(example)
        ]
    assert wrong == []


def test_every_answer_is_described_by_a_type_that_has_an_example() -> None:
    """An example is found by the name of its type; one that nobody answers with is left over."""
    answered = {
        part["schema"]["$ref"].rpartition("/")[2]
        for where, part in spoken()
        if "$ref" in part.get("schema", {}) and "body" not in where and "4XX" not in where
    }
    assert set(examples.by_schema()) == answered - {"Problem"}


def test_no_body_may_have_a_field_that_nobody_reads() -> None:
    """But the form of a token, of which RFC 6749 (3.2) wants what is unknown to be ignored."""
    bodies = [
        part["schema"]
        for where, part in spoken()
        if where.endswith(" body") and not where.startswith("POST /v1/token")
    ]
    shapes = [shape for body in bodies for shape in shapes_within(body)]
    objects = [shape for shape in shapes if shape.get("type") == "object" and "title" in shape]
    assert {"TourBody", "StopBody", "Polygon"} <= {shape["title"] for shape in objects}
    assert [shape["title"] for shape in objects if shape["additionalProperties"]] == []


def shapes_within(schema: Any) -> Iterator[Json]:
    """Yield a schema and all schemas within it."""
    match schema:
        case {"$ref": str(name)}:
            yield from shapes_within(described()["components"]["schemas"][name.rpartition("/")[2]])
        case dict():
            yield schema
            for part in schema.values():
                yield from shapes_within(part)
        case list():
            for part in schema:
                yield from shapes_within(part)


def test_no_parameter_is_described_as_null() -> None:
    parameters = [part for _, part in spoken() if "in" in part]
    assert parameters
    assert not [part for part in parameters if "null" in str(part["schema"])]


def test_what_changes_something_needs_a_token_against_other_sites_beside_a_session() -> None:
    for methods in described()["paths"].values():
        for method, operation in methods.items():
            if "security" in operation:
                ways = operation["security"]
                if {"device": []} in ways:
                    continue  # no session opens these
                assert ({"session": [], "csrf": []} in ways) == (method != "get")
                assert {"token": []} in ways


def taken(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@given(st.text(max_size=70) | st.text(alphabet="a\n\0\x7fé\ud7ff\u2028", max_size=70))
def test_a_code_is_what_an_import_takes_as_one(text: str) -> None:
    assert taken(limits.Code, text) == importable(sheets.Code, text)
    assert taken(limits.Name, text) == importable(sheets.Name, text)


def importable(kind: Any, value: object) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


@given(st.floats(allow_nan=False) | st.integers(-25_000, 25_000))
def test_a_position_is_within_the_limits_of_the_imports(number: float) -> None:
    assert taken(limits.LatitudeDeg, number) == importable(sheets.LatitudeDeg, number)
    assert taken(limits.LongitudeDeg, number) == importable(sheets.LongitudeDeg, number)


@given(st.from_regex(f"^{limits.DAY}\\Z"))
def test_whatever_has_the_pattern_of_a_day_is_one(text: str) -> None:
    assert 2000 <= date.fromisoformat(text).year < 2100


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_every_day_of_the_century_has_the_pattern(day: date) -> None:
    assert TypeAdapter(limits.Day).validate_python(day.isoformat()) == day


@pytest.mark.parametrize("day", ["1999-12-31", "2100-01-01", "2026-02-29", "20261120", 0, True])
def test_no_other_day_has_it(day: object) -> None:
    assert not taken(limits.Day, day)


LOCAL_TIME = re.compile(TypeAdapter(limits.LocalTime).json_schema()["pattern"].replace("$", r"\Z"))


LINE = {"item": "FIL-20", "qty": 1}


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({"item": "x" * 200, "qty": 1_000_000, "lot": "x" * 200, "reason": "x" * 200}, True),
        ({"qty": 1_000_001}, False),
        ({"qty": 0}, False),
        ({"lot": "x" * 201}, False),
        ({"lot": "a\0b"}, False),
    ],
)
def test_a_report_that_the_api_takes_is_one_that_ingest_takes(
    change: Json,
    fits: bool,  # noqa: FBT001
) -> None:
    said = {"kind": "picked", "id": "x" * 64, "lines": [LINE | change]}
    assert taken(orders.ReportBody, said) == fits
    sent = {**said, "t": examples.NOW, "order": "x" * 200, "user": "x" * 200}
    assert importable(OrderReport, sent) == fits


def what_is_wrong(start: str, end: str) -> str:
    try:
        window(start, end, date(2026, 11, 20), ZoneInfo("Europe/Paris"))
    except sheets.UnusableRowError as refused:
        return str(refused)
    return ""


@given(st.from_regex(LOCAL_TIME), st.from_regex(LOCAL_TIME))
def test_of_two_times_that_have_the_pattern_nothing_is_wrong_but_their_order(
    start: str, end: str
) -> None:
    wrong = what_is_wrong(start, end)
    assert wrong == "" or "not after its start" in wrong
