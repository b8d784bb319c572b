"""What a stop needs of whoever takes it: a skill, and parts. Pure.

A skill is a word in lower case, the same for the technician who has it and the stop that asks for
it; parts are whole quantities by item. Nothing here knows who has what.
"""

import re
from collections.abc import Mapping

from storage.sheets import UnusableRowError, known


def skill(text: str) -> str:
    """Return a skill in lower case, so that two spellings are one, or refuse the row."""
    if len(text) > 64 or re.search(r"[;\s]", text):
        raise UnusableRowError(f"skill {text!r} is no single word of up to 64 characters")
    return text.lower()


def parts(items: Mapping[str, int], text: str) -> dict[int, int]:
    """Return quantities by item id, rising, from `P-0001:2;P-0002`, or refuse the row.

    A quantity is what follows the last colon, unless the whole is an item's own ref.
    """
    needed: dict[int, int] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        is_ref = part in items or ":" not in part
        ref, _, quantity = (part, "", "1") if is_ref else part.rpartition(":")
        item_id = known(items, "item", ref.strip())
        if not re.fullmatch(r"\s*0*[1-9][0-9]{0,5}", quantity, re.ASCII):
            raise UnusableRowError(
                f"{part!r} needs a whole number from 1 to 999999 after its colon"
            )
        if item_id in needed:
            raise UnusableRowError(f"item {ref.strip()} is twice among its parts: add them up")
        needed[item_id] = int(quantity)
    return dict(sorted(needed.items()))
