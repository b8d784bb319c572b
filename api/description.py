"""What `/v1/openapi.json` says of every route beside what FastAPI finds out by itself. Pure.

How one signs in, what a refusal looks like (`api/problems.py`), which roles may use the route
(`api/roles.py`), and an example of each answer (`api/examples.py`). FastAPI describes refusals of
parameters as JSON of a shape of its own; here they are problems, like all others. It also describes
parameters that may be left out as ones that may be null, which no query can say.
"""

from collections.abc import Iterable
from typing import Any, Final

from api import examples
from api.roles import rule_of

ABOUT: Final = """\
Times are integer milliseconds since 1970 UTC, positions WGS 84 degrees; a unit ends a name.

Whatever goes wrong is answered as a problem (RFC 9457): read `code`, which stays, and let people read
`title`, in the language that `Accept-Language` asks for and `Content-Language` names, and `detail`, in
English. Whatever fits this description is taken, but for what no schema can say: 422 says what.

What a route takes and tells is a promise: new routes, fields and words may come at any time, so let
pass what you do not know; nothing goes without standing in the changelog.
"""
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "message"],
                "properties": {"where": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
SCHEMES: Final[dict[str, Any]] = {
    "session": {"type": "apiKey", "in": "cookie", "name": "cordee"},
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CSRF-Token",
        "description": "The `csrf_token` of `GET /v1/session`.",
    },
    "device": {"type": "http", "scheme": "basic"},
    "token": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "/v1/token", "scopes": {}}},
    },
}
READING: Final[list[dict[str, list[str]]]] = [{"session": []}, {"token": []}]
CHANGING: Final[list[dict[str, list[str]]]] = [{"session": [], "csrf": []}, {"token": []}]
FOUND: Final = ("200", "201", "202")


def completed(described: dict[str, Any], codes: Iterable[str]) -> dict[str, Any]:
    """Return a description that says all of it of every route; the old one is changed.

    Args:
        described: What FastAPI finds out.
        codes: Those of all problems.
    """
    parts = described.setdefault("components", {})
    code = {"type": "string", "enum": sorted(codes)}
    problem = {**PROBLEM, "properties": {**PROBLEM["properties"], "code": code}}
    parts.setdefault("schemas", {})["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
    parts["securitySchemes"] = SCHEMES
    answers = examples.by_schema()
    for template, methods in described["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            _say_answers(operation["responses"], answers)
            _say_who(method.upper(), template, operation)
    return described


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    match schema:
        case {"anyOf": [said, {"type": "null"}], **rest}:
            return {**said, **rest}
    return schema


def _say_answers(responses: dict[str, Any], answers: dict[str, Any]) -> None:
    """Describe what is answered: an example where something is found, and problems."""
    if "HTTPValidationError" in str(responses.get("422")):
        responses.pop("422")
    for status in FOUND:
        for media_type, content in responses.get(status, {}).get("content", {}).items():
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if (example := answers.get(name, examples.TEXTS.get(media_type))) is not None:
                content["example"] = example
    responses["4XX"] = _refusal("A problem; `code` says which.", examples.PROBLEM)
    responses["503"] = _refusal(
        "The database does not answer, or somebody else is editing.", examples.UNAVAILABLE
    )


def _refusal(words: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema, "example": example}}
    return {"description": words, "content": content}


def _say_who(method: str, template: str, operation: dict[str, Any]) -> None:
    """Describe who may ask, and what has to come with it."""
    rule = rule_of(method, template)
    if rule is None or rule.public:
        return
    operation["security"] = READING if method == "GET" else CHANGING
    operation["x-roles"] = sorted(rule.roles)
    roles = ", ".join(operation["x-roles"])
    operation["description"] = f"{operation.get('description', '')}\n\nFor: {roles}.".strip()
