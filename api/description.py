"""What `/v1/openapi.json` says of every route beside what FastAPI finds out by itself. Pure.

How one signs in, what a refusal looks like (`api/problems.py`), and which roles may use the route
(`api/roles.py`). FastAPI describes refusals of parameters as JSON of a shape of its own; here they are
problems, like all others.
"""

from collections.abc import Mapping
from typing import Any, Final

from api.roles import rule_of

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
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
    "device": {"type": "http", "scheme": "basic"},
    "token": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "/v1/token", "scopes": {}}},
    },
}
SECURITY: Final[list[dict[str, list[str]]]] = [{"session": []}, {"token": []}]


def _refusal(words: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": words, "content": content}


def completed(described: dict[str, Any]) -> dict[str, Any]:
    """Return a description with sign-in, roles and refusals of every route; the old one is changed."""
    parts = described.setdefault("components", {})
    parts.setdefault("schemas", {})["Problem"] = PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
    parts["securitySchemes"] = SCHEMES
    for template, methods in described["paths"].items():
        for method, operation in methods.items():
            _complete(method.upper(), template, operation)
    return described


def _complete(method: str, template: str, operation: dict[str, Any]) -> None:
    answers: dict[str, Any] = operation["responses"]
    validation: Mapping[str, Any] = answers.get("422", {})
    if "HTTPValidationError" in str(validation):
        answers.pop("422")
    answers["4XX"] = _refusal("A problem; `code` says which.")
    answers["503"] = _refusal("The database does not answer, or somebody else is editing.")
    rule = rule_of(method, template)
    if rule is None or rule.public:
        return
    operation["security"] = SECURITY
    roles = ", ".join(sorted(rule.roles))
    operation["description"] = f"{operation.get('description', '')}\n\nFor: {roles}.".strip()
