"""What a change of the API takes away from those who use it. Pure.

Two descriptions (OpenAPI 3.1) are compared: what was promised and what is now. What a request may say
must stay allowed, what an answer tells must stay told:

| of               | harmless                             | breaking                                      |
| ---------------- | ------------------------------------ | --------------------------------------------- |
| a route          | a new one                            | it is gone; a role may use it no longer, or a |
|                  |                                      | way to sign in lets in no longer              |
| a parameter, a   | a new one that may be left out; one  | it is gone, so that nobody reads it; it must  |
| field of a body  | that may be left out now             | be sent now                                   |
| its values       | wider limits, more words             | narrower limits, another pattern or format,   |
|                  |                                      | fewer words, no null any more                 |
| an answer        | a new field, a new word: whoever     | a field or a word is gone, or may be missing; |
|                  | reads must let pass what is unknown  | another type; null where there was none; its  |
|                  |                                      | status or media type is gone                  |

Of two shapes that one value may have, each is compared with the one that fits it best. What means
something else under the same name, no description shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

#: Keywords of JSON Schema by which a value may become too small, or too large.
LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
#: And those that can only be compared as wholes.
WHOLE: Final = ("pattern", "format", "multipleOf", "uniqueItems", "not")


def breaks(promised: Json, now: Json) -> list[str]:
    """Return what was promised and is no longer kept, a line each, in the order of the promise."""
    return list(_Comparison(promised, now).routes())


def unannounced(broken: list[str], changelog: str) -> list[str]:
    """Return what the changelog's part for the next release does not name, word for word."""
    _, _, rest = changelog.partition("## [Unreleased]")
    said = " ".join(rest.partition("\n## ")[0].split())
    return [line for line in broken if line not in said]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two descriptions, and how a reference is looked up in each."""

    promised: Json
    now: Json

    def routes(self) -> Iterator[str]:
        for path, methods in self.promised["paths"].items():
            for method, was in methods.items():
                route = f"{method.upper()} {path}"
                here = self.now["paths"].get(path, {}).get(method)
                if here is None:
                    yield f"{route} is gone"
                else:
                    yield from (f"{route}: {words}" for words in self._operation(was, here))
        was, here = _problem(self.promised), _problem(self.now)
        yield from self._told(was, here, "every problem")

    def _operation(self, was: Json, here: Json) -> Iterator[str]:
        for role in was.get("x-roles", ()):
            if role not in here.get("x-roles", ()):
                yield f"{role} may not any more"
        lets_in = here.get("security") or [{}]
        for way in was.get("security") or [{}]:
            if not any(needed.keys() <= way.keys() for needed in lets_in):
                yield f"{' with '.join(way) or 'nothing'} does not let in any more"
        yield from self._parameters(was.get("parameters", []), here.get("parameters", []))
        yield from self._body(was.get("requestBody"), here.get("requestBody"))
        for status, answer in was["responses"].items():
            if status.startswith(("2", "3")):
                yield from self._answer(status, answer, here["responses"].get(status))

    def _parameters(self, was: list[Json], here: list[Json]) -> Iterator[str]:
        before = {(one["in"], one["name"]): one for one in was}
        after = {(one["in"], one["name"]): one for one in here}
        for key in before:
            if key not in after:
                yield f"{' '.join(key)} is gone"
        for key, one in after.items():
            what = " ".join(key)
            known = before.get(key)
            if one.get("required") and not (known and known.get("required")):
                yield f"{what} must be sent now"
            if known:
                yield from self._asked(known["schema"], one["schema"], what)

    def _body(self, was: Json | None, here: Json | None) -> Iterator[str]:
        if here and here.get("required") and not (was and was.get("required")):
            yield "a body must be sent now"
        for media_type, content in (was or {}).get("content", {}).items():
            kept = (here or {}).get("content", {}).get(media_type)
            if kept is None:
                yield f"a body of {media_type} is not read any more"
            else:
                yield from self._asked(content["schema"], kept["schema"], "body")

    def _answer(self, status: str, was: Json, here: Json | None) -> Iterator[str]:
        if here is None:
            yield f"{status} is not answered any more"
            return
        for media_type, content in was.get("content", {}).items():
            kept = here.get("content", {}).get(media_type)
            if kept is None:
                yield f"{status} is not answered as {media_type} any more"
            elif "schema" in content:
                yield from self._told(content["schema"], kept.get("schema", {}), status)

    # ---- what a request may say ----

    def _asked(self, was: Json, here: Json, where: str) -> Iterator[str]:
        """Yield what could be said and can no longer."""
        shapes = _shapes(self.now, here)
        for shape in _shapes(self.promised, was):
            found = [list(self._asked_one(shape, other, where)) for other in shapes]
            yield from min(found, key=len)

    def _asked_one(self, was: Json, here: Json, where: str) -> Iterator[str]:
        if not _is_wider(was.get("type"), here.get("type")):
            yield f"{where}: {_type(was)} is not taken any more"
            return
        yield from _words_gone(was, here, where)
        if _words(here) is not None and _words(was) is None:
            yield f"{where}: only some words are taken now"
        for limit in LEAST:
            if limit in here and not was.get(limit, float("-inf")) >= here[limit]:
                yield f"{where}: {limit} is {here[limit]:g}, was {_figure(was.get(limit))}"
        for limit in MOST:
            if limit in here and not was.get(limit, float("inf")) <= here[limit]:
                yield f"{where}: {limit} is {here[limit]:g}, was {_figure(was.get(limit))}"
        for rule in WHOLE:
            if rule in here and here[rule] != was.get(rule):
                yield f"{where}: {rule} is new or another one"
        yield from self._fields_asked(was, here, where)
        yield from self._items(was, here, where, asked=True)

    def _fields_asked(self, was: Json, here: Json, where: str) -> Iterator[str]:
        before, after = was.get("properties", {}), here.get("properties", {})
        others = here.get("additionalProperties", True)
        for name, field in before.items():
            if name in after:
                yield from self._asked(field, after[name], f"{where}.{name}")
            else:
                yield f"{where}.{name} is gone"
        for name in here.get("required", ()):
            if name not in was.get("required", ()):
                yield f"{where}.{name} must be sent now"
        if others is False and was.get("additionalProperties", True) is not False:
            yield f"{where}: unknown fields are refused now"
        elif isinstance(others, dict) and isinstance(was.get("additionalProperties"), dict):
            yield from self._asked(was["additionalProperties"], others, f"{where}.*")
        if "propertyNames" in here:
            names = was.get("propertyNames", {})
            yield from self._asked(names, here["propertyNames"], f"{where}'s names")

    # ---- what an answer tells ----

    def _told(self, was: Json, here: Json, where: str) -> Iterator[str]:
        """Yield what was told and is no longer, and what a reader does not expect."""
        shapes = _shapes(self.promised, was)
        for shape in _shapes(self.now, here):
            found = [list(self._told_one(other, shape, where)) for other in shapes]
            yield from min(found, key=len)

    def _told_one(self, was: Json, here: Json, where: str) -> Iterator[str]:
        if not _is_wider(here.get("type"), was.get("type")):
            yield f"{where}: may be {_type(here)} now"
            return
        yield from _words_gone(was, here, where)
        after = here.get("properties", {})
        for name, field in was.get("properties", {}).items():
            if name not in after:
                yield f"{where}.{name} is gone"
                continue
            if name in was.get("required", ()) and name not in here.get("required", ()):
                yield f"{where}.{name} may be missing now"
            yield from self._told(field, after[name], f"{where}.{name}")
        each = was.get("additionalProperties")
        if isinstance(each, dict) and isinstance(here.get("additionalProperties"), dict):
            yield from self._told(each, here["additionalProperties"], f"{where}.*")
        yield from self._items(was, here, where, asked=False)

    def _items(self, was: Json, here: Json, where: str, *, asked: bool) -> Iterator[str]:
        compare = self._asked if asked else self._told
        if "items" in was or "items" in here:
            yield from compare(was.get("items", {}), here.get("items", {}), f"{where}[]")
        pairs = zip(was.get("prefixItems", ()), here.get("prefixItems", ()), strict=False)
        for nth, (before, after) in enumerate(pairs):
            yield from compare(before, after, f"{where}[{nth}]")


def _problem(described: Json) -> Json:
    schema: Json = described["components"]["schemas"].get("Problem", {})
    return schema


def _shapes(described: Json, schema: Json) -> list[Json]:
    """Return the shapes that a value may have, none of them a reference or a choice."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _shapes(described, described["components"]["schemas"][name])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices is None:
        return [schema]
    return [shape for choice in choices for shape in _shapes(described, choice)]


def _is_wider(narrow: str | None, wide: str | None) -> bool:
    """Return whether all of one type is of the other."""
    return wide in (None, narrow) or (narrow, wide) == ("integer", "number")


def _type(schema: Json) -> str:
    return str(schema.get("type", "anything"))


def _words_gone(was: Json, here: Json, where: str) -> Iterator[str]:
    """Yield the words of a list that are in it no longer, whoever says them."""
    left = _words(here)
    for word in _words(was) or ():
        if left is not None and word not in left:
            yield f"{where}: {word!r} is gone"


def _words(schema: Json) -> list[Any] | None:
    """Return the only values that there are, if there are such."""
    words: list[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
    return words


def _figure(limit: float | None) -> str:
    return "none" if limit is None else f"{limit:g}"
