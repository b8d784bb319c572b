"""What breaks a promise of the API, and what does not."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops.commands.docs import docs
from ops.contract import breaks, unannounced

Json = dict[str, Any]

PROMISED = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())


def described(**changed: Any) -> Json:
    """Return a description of one route, whose operation has these things."""
    operation = {
        "x-roles": ["admin", "planner"],
        "security": [{"session": [], "csrf": []}, {"token": []}],
        "parameters": [
            parameter("limit", {"type": "integer", "minimum": 1, "maximum": 500}),
            parameter("state", {"type": "string", "enum": ["open", "closed"]}),
        ],
        "requestBody": body({"type": "object", "properties": {"by": {"type": "string"}}}),
        "responses": {"200": answer(VAN)},
    }
    return {
        "paths": {"/v1/vans": {"put": operation | changed}},
        "components": {"schemas": {"Place": {"type": "object", "properties": {"code": TEXT}}}},
    }


TEXT = {"type": "string"}
VAN = {
    "type": "object",
    "required": ["code", "state"],
    "properties": {
        "code": TEXT,
        "state": {"type": "string", "enum": ["driving", "silent"]},
        "site": {"anyOf": [{"$ref": "#/components/schemas/Place"}, {"type": "null"}]},
        "stops": {"type": "array", "items": {"type": "integer"}},
    },
}


def parameter(name: str, schema: Json, *, required: bool = False) -> Json:
    return {"in": "query", "name": name, "required": required, "schema": schema}


def body(schema: Json, *, required: bool = True, media_type: str = "application/json") -> Json:
    return {"required": required, "content": {media_type: {"schema": schema}}}


def answer(schema: Json, media_type: str = "application/json") -> Json:
    return {"description": "found", "content": {media_type: {"schema": schema}}}


def told(**fields: Any) -> Json:
    """Return the description with an answer whose fields are these, None for none."""
    kept = {name: field for name, field in (VAN["properties"] | fields).items() if field}
    return described(responses={"200": answer({**VAN, "properties": kept})})


LIMIT = {"type": "integer", "minimum": 1, "maximum": 500}


def limited(**changed: Any) -> Json:
    return described(parameters=[parameter("limit", LIMIT | changed), STATE])


STATE = parameter("state", {"type": "string", "enum": ["open", "closed"]})
OPEN = parameter("state", {"type": "string", "enum": ["open"]})
BY = {"type": "object", "properties": {"by": TEXT}}
AT = {"type": "object", "properties": {"by": TEXT, "at": TEXT}}


@pytest.mark.parametrize(
    ("now", "broken"),
    [
        (described(parameters=[STATE]), "query limit is gone"),
        (
            described(parameters=[*described()["paths"]["/v1/vans"]["put"]["parameters"],
                                  parameter("van", TEXT, required=True)]),
            "query van must be sent now",
        ),
        (described(parameters=[parameter("limit", LIMIT, required=True), STATE]),
         "query limit must be sent now"),
        (limited(maximum=50), "query limit: maximum is 50, was 500"),
        (limited(minimum=5), "query limit: minimum is 5, was 1"),
        (limited(multipleOf=5), "query limit: multipleOf is new or another one"),
        (limited(type="string"), "query limit: integer is not taken any more"),
        (limited(enum=[50, 100]), "query limit: only some words are taken now"),
        (described(parameters=[parameter("limit", LIMIT), OPEN]), "query state: 'closed' is gone"),
        (described(**{"x-roles": ["admin"]}), "planner may not any more"),
        (described(security=[{"token": []}]), "session with csrf does not let in any more"),
        (described(requestBody=body({**BY, "required": ["by"]})), "body.by must be sent now"),
        (described(requestBody=body({**AT, "required": ["at"]})), "body.at must be sent now"),
        (described(requestBody=body({"type": "object", "properties": {}})), "body.by is gone"),
        (described(requestBody=body({**BY, "additionalProperties": False})),
         "body: unknown fields are refused now"),
        (described(requestBody=body(BY, media_type="text/csv")),
         "a body of application/json is not read any more"),
        (described(responses={"204": {"description": "done"}}), "200 is not answered any more"),
        (described(responses={"200": answer(VAN, "text/csv")}),
         "200 is not answered as application/json any more"),
        (told(code=None), "200.code is gone"),
        (told(code={"type": "integer"}), "200.code: may be integer now"),
        (told(code={"anyOf": [TEXT, {"type": "null"}]}), "200.code: may be null now"),
        (told(state={"type": "string", "enum": ["driving"]}), "200.state: 'silent' is gone"),
        (told(stops={"type": "array", "items": {"type": "number"}}),
         "200.stops[]: may be number now"),
        (described(responses={"200": answer({**VAN, "required": ["code"]})}),
         "200.state may be missing now"),
    ],
)  # fmt: skip
def test_what_was_promised_and_is_no_longer_kept_is_told(now: Json, broken: str) -> None:
    assert breaks(described(), now) == [f"PUT /v1/vans: {broken}"]


@pytest.mark.parametrize(
    "now",
    [
        described(parameters=[*described()["paths"]["/v1/vans"]["put"]["parameters"],
                              parameter("van", TEXT)]),
        limited(maximum=1_000),
        limited(minimum=0),
        limited(type="number"),
        described(**{"x-roles": ["admin", "ops", "planner"]}),
        described(security=None),
        described(requestBody=body(BY, required=False)),
        described(requestBody=body(AT)),
        told(name=TEXT),
        told(site={"$ref": "#/components/schemas/Place"}),
        told(state={"type": "string", "enum": ["driving", "silent", "lost"]}),
        described(responses={"200": answer(VAN), "201": answer(VAN)}),
    ],
)  # fmt: skip
def test_what_takes_nothing_away_breaks_no_promise(now: Json) -> None:
    assert breaks(described(), now) == []


def test_of_several_shapes_the_one_that_fits_best_is_compared() -> None:
    circle = {"type": "object", "required": ["radius"], "properties": {"radius": LIMIT}}
    area = {"type": "object", "required": ["ring"], "properties": {"ring": {"type": "array"}}}
    one, both = body(circle), body({"oneOf": [area, circle]})
    assert breaks(described(requestBody=one), described(requestBody=both)) == []
    assert breaks(described(requestBody=both), described(requestBody=one)) == [
        "PUT /v1/vans: body.ring is gone",
        "PUT /v1/vans: body.radius must be sent now",
    ]


def test_the_api_breaks_no_promise_that_it_makes_itself() -> None:
    assert breaks(PROMISED, PROMISED) == []


def _without_route(api: Json) -> None:
    del api["paths"]["/v1/vans/{van}/track"]


def _without_field(api: Json) -> None:
    del api["components"]["schemas"]["Van"]["properties"]["next_stop"]


def _without_word(api: Json) -> None:
    api["components"]["schemas"]["Van"]["properties"]["state"]["enum"].remove("silent")


def _without_code(api: Json) -> None:
    api["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].remove("bad_cursor")


def _with_a_must(api: Json) -> None:
    api["components"]["schemas"]["StopBody"]["required"].append("skill")


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (_without_route, ["GET /v1/vans/{van}/track is gone"]),
        (_without_field, ["GET /v1/vans: 200.vans[].next_stop is gone",
                          "GET /v1/vans/{van}: 200.next_stop is gone"]),
        (_without_word, ["GET /v1/vans: 200.vans[].state: 'silent' is gone",
                         "GET /v1/vans/{van}: 200.state: 'silent' is gone"]),
        (_without_code, ["every problem.code: 'bad_cursor' is gone"]),
        (_with_a_must, ["PUT /v1/tours/{code}: body.stops[].skill must be sent now"]),
    ],
)  # fmt: skip
def test_a_change_of_the_real_description_is_told_for_every_route_that_has_it(
    change: Callable[[Json], None], broken: list[str]
) -> None:
    changed = copy.deepcopy(PROMISED)
    change(changed)
    assert breaks(PROMISED, changed) == broken
    assert breaks(changed, PROMISED) == []


def test_a_broken_promise_may_stand_in_the_changelog_of_the_next_release_and_nowhere_else() -> None:
    broken = ["GET /v1/vans: query limit is gone", "GET /v1/x is gone"]
    changelog = (
        "# Changelog\n## [Unreleased]\n### Changed\n- `GET /v1/vans: query\n  limit is gone`: all.\n"
        "## [0.1.0]\n- GET /v1/x is gone\n"
    )
    assert unannounced(broken, changelog) == ["GET /v1/x is gone"]


def test_docs_fails_for_a_broken_promise_until_the_changelog_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changelog, released = Path("CHANGELOG.md"), Path("docs/openapi.released.json")
    changelog.write_text("## [Unreleased]\n")
    assert CliRunner().invoke(docs, ["--release"]).exit_code == 0
    promised = json.loads(released.read_text())
    promised["paths"]["/v1/gone"] = {"get": {"responses": {}}}
    released.write_text(json.dumps(promised))
    found = CliRunner().invoke(docs, ["--check"])
    assert (found.exit_code, "broken promise: GET /v1/gone is gone" in found.output) == (1, True)
    changelog.write_text("## [Unreleased]\n- `GET /v1/gone is gone`: nobody used it.\n")
    assert CliRunner().invoke(docs, ["--check"]).exit_code == 0
