"""The written pages against the code they are written from."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import inspect

from ingest.messages import CONTRACT, EXAMPLES, encode
from ops import papers
from storage.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
WIRE = (DOCS / "WIRE.md").read_text()
PAYLOADS = {struct.__name__: struct for topic in CONTRACT for struct in topic.payloads}

REAL = {type(message).__name__: encode(message).decode() for message in EXAMPLES}
#: A scan gives its code in one of two forms.
OTHER_FORM = {"Scan": {"code_b64": "AB8="}}


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads((DOCS / f"schemas/{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def documented(name: str) -> dict[str, tuple[str, str]]:
    """Return each field of a payload's table in WIRE.md, with its type and whether it is needed."""
    table = re.search(rf"^\*\*{name}\.\*\*.*?\n\n(.*?)(?:\n\n|\Z)", WIRE, re.DOTALL | re.MULTILINE)
    assert table is not None
    rows = [line.strip("| ").split(" | ") for line in table[1].splitlines()[2:]]
    return {field.strip("`"): (kind, needed) for field, kind, needed in rows}


@cache
def build(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Return a strategy for instances within a struct's limits."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    fields = {field.name: values(field.type) for field in info.fields}
    return st.fixed_dictionaries(fields).map(lambda given: struct(**given))


VALUES: dict[type[inspect.Type], Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.IntType: lambda kind: st.integers(kind.ge or 0, kind.le or 2**53),
    inspect.FloatType: lambda kind: st.floats(kind.ge, kind.le),
    inspect.StrType: lambda kind: (
        st.from_regex(kind.pattern.rstrip("$") + r"\Z")
        if "0-9" in (kind.pattern or "")
        else st.text(
            st.characters(codec="utf-8", exclude_characters="\0" if kind.pattern else ""),
            min_size=kind.min_length or 0,
            max_size=kind.max_length or 9,
        )
    ),
    inspect.BytesType: lambda kind: st.binary(max_size=kind.max_length),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.NoneType: lambda _: st.none(),
    inspect.LiteralType: lambda kind: st.sampled_from(kind.values),
    inspect.ListType: lambda kind: st.lists(values(kind.item_type), max_size=3),
    inspect.UnionType: lambda kind: st.one_of(*map(values, kind.types)),
    inspect.StructType: lambda kind: build(kind.cls),
}


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Return a strategy for what a field of this kind may hold."""
    return VALUES[type(kind)](kind)


def test_the_written_pages_are_current() -> None:
    assert papers.write(DOCS, check=True) == [], "run `make docs`"


def test_a_check_names_a_stale_page_and_writes_nothing(tmp_path: Path) -> None:
    written = papers.write(tmp_path, check=False)
    assert len(written) == 5 + len(PAYLOADS)
    (tmp_path / "WIRE.md").write_text("old")
    (tmp_path / "schemas/Gone.json").write_text("{}")
    stale = {tmp_path / "WIRE.md", tmp_path / "schemas/Gone.json"}
    assert set(papers.write(tmp_path, check=True)) == stale
    assert (tmp_path / "WIRE.md").read_text() == "old"
    assert set(papers.write(tmp_path, check=False)) == stale
    assert not (tmp_path / "schemas/Gone.json").exists()
    assert papers.write(tmp_path, check=True) == []


def test_every_payload_has_an_example() -> None:
    assert set(REAL) == set(PAYLOADS)


@pytest.mark.parametrize("name", REAL)
def test_an_example_is_accepted_by_the_schema_and_by_the_decoder(name: str) -> None:
    validator(name).validate(json.loads(REAL[name]))
    msgspec.json.decode(REAL[name], type=PAYLOADS[name])


@pytest.mark.parametrize("name", REAL)
def test_wire_md_lists_exactly_the_fields_that_an_example_may_use(name: str) -> None:
    known = set(json.loads(REAL[name])) | set(OTHER_FORM.get(name, {}))
    assert set(documented(name)) == known


@pytest.mark.parametrize("name", REAL)
def test_what_wire_md_calls_needed_is_needed_and_nothing_else(name: str) -> None:
    example = json.loads(REAL[name]) | OTHER_FORM.get(name, {})
    for field, (_, needed) in documented(name).items():
        without = {key: value for key, value in example.items() if key != field}
        refused = not validator(name).is_valid(without)
        assert refused == (needed == "yes"), field
        try:
            msgspec.json.decode(json.dumps(without), type=PAYLOADS[name])
        except msgspec.ValidationError:
            assert needed == "yes", field
        else:
            # A lone type is not asked for its tag; among its siblings it is.
            assert needed == "no" or field == "_type", field


def test_every_json_block_of_wire_md_fits_a_payload() -> None:
    blocks = re.findall(r"```json\n(.*?)```", WIRE, re.DOTALL)
    assert len(blocks) == len(PAYLOADS)
    for block in blocks:
        payload = json.loads(block)
        for one in payload if isinstance(payload, list) else [payload]:
            assert any(validator(name).is_valid(one) for name in PAYLOADS), block


def test_wire_md_names_every_topic_and_links_to_schemas_that_exist() -> None:
    for topic in CONTRACT:
        assert f"## `{topic.template}`" in WIRE
    linked = set(re.findall(r"\]\((schemas/\w+\.json)\)", WIRE))
    assert linked == {f"schemas/{path.name}" for path in (DOCS / "schemas").glob("*.json")}
    assert linked == {f"schemas/{name}.json" for name in PAYLOADS}


@pytest.mark.parametrize("name", PAYLOADS)
@settings(max_examples=50)
@given(data=st.data())
def test_what_we_encode_is_valid_and_comes_back_the_same(name: str, data: st.DataObject) -> None:
    message = data.draw(build(PAYLOADS[name]))
    payload = encode(message)
    validator(name).validate(json.loads(payload))
    assert msgspec.json.decode(payload, type=PAYLOADS[name]) == message


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("Position", "lat", 90.1),
        ("Position", "acc_m", -1),
        ("Position", "t", 1_780_297_200),  # seconds
        ("Position", "t", "1780297200000"),
        ("Position", "ignition", "on"),
        ("Scan", "seq", 0),
        ("Scan", "epoch", ""),
        ("Scan", "epoch", "x" * 65),
        ("Scan", "intent", "steal"),
        ("Scan", "qty", 1_000_001),
        ("Status", "state", "asleep"),
        ("OwnTracksLocation", "_type", "lwt"),
    ],
)
def test_schema_and_decoder_refuse_the_same(name: str, field: str, value: object) -> None:
    wrong = json.loads(REAL[name]) | {field: value}
    assert not validator(name).is_valid(wrong)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(wrong), type=PAYLOADS[name])


def test_settings_md_lists_every_setting_with_its_default_and_meaning() -> None:
    page = (DOCS / "SETTINGS.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `CORDEE_{name.upper()}` | `{field.default}` | {field.description} |" in page
    assert page.count("| `CORDEE_") == len(Settings.model_fields)
