"""What the server says in English and pages say in the reader's language: word for word the same."""

import json
import re
from pathlib import Path
from typing import Any

from ingest import apply
from stock_tracker.ledger import CountTask
from stock_tracker.resupply.orders import Shipped
from stock_tracker.resupply.urgent import Handover
from storage.retention import PURPOSES

BASE = Path(__file__).parents[2] / "api/web/base"
#: A sentence by its name, or by itself.
SAID = re.compile(r'^  (?:(\w+)|"(.+)"): \((?:of)?\) => t\("(.+?)"(?:, of)?\),$', re.MULTILINE)


def on_page(file: str) -> dict[str, str]:
    """Return what a page says, by what it is found by."""
    found = SAID.findall((BASE / file).read_text())
    return {name or text: said for name, text, said in found}


def test_every_purpose_is_told_on_the_page_as_its_setting_says_it() -> None:
    assert on_page("purposes.js") == {purpose.name: purpose.words for purpose in PURPOSES}


def braced(name: str) -> Any:
    """Stand for any value: what is made of it is the text with its braces."""
    return f"{{{name}}}"


def test_every_message_that_is_written_by_itself_has_its_sentence_on_the_page() -> None:
    boxes = [Shipped("V1", braced("order"), "r", mode, braced("lines")) for mode in apply.WHERE_TO]
    handover = Handover(
        1, braced("giver"), braced("receiver"), braced("ref"), braced("name"), braced("qty")
    )
    tasks = [CountTask("V1", "PUMP", "negative"), CountTask("V1", "PUMP", "unconfirmed")]
    assert {task.reason for task in tasks} == set(apply.WHY_COUNT)
    told = [
        *apply.shipped_messages(boxes, 0),
        *apply.handover_messages([handover], 0),
        *apply.count_messages(tasks, 0),
    ]
    texts = {json.loads(message.payload)["text"] for message in told}
    assert len(texts) == 7
    assert on_page("told_by_cordee.js") == {text: text for text in texts}
