"""Whatever ingest says of an alert, the planner's page says in the reader's language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from geofence import alerts

ROOT = Path(__file__).parents[2]
WORDS = (ROOT / "api/web/planner/words.js").read_text()


def reasons() -> Iterator[str]:
    """Yield the reasons of all facts, from the source: the third argument, or what `reason` was set to."""
    for node in ast.walk(ast.parse(Path(alerts.__file__).read_text())):
        match node:
            case ast.Call(func=ast.Name("Fact"), args=[_, _, said, *_]):
                yield from text_of(said)
            case ast.Assign(targets=[ast.Name("reason")], value=said):
                yield from text_of(said)


def text_of(said: ast.expr) -> Iterator[str]:
    match said:
        case ast.Constant(str(text)):
            yield text
        case ast.JoinedStr(parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{n}" for part in parts)


def test_every_reason_of_an_alert_has_its_sentence_on_the_page() -> None:
    said = set(reasons())
    assert len(said) > 15
    assert said == set(re.findall(r'^  "(.+)": \(n?\) => t\(', WORDS, re.MULTILINE))
