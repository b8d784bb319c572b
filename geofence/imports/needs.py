"""What a stop needs of whoever takes it: time, a skill, and parts. Pure.

A skill is a word in lower case, the same for the technician who has it and the stop that asks for
it; parts are whole quantities by item. Nothing here knows who has what.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from storage.sheets import UnusableRowError, known

QUANTITY_MAX: Final = 999_999

Minutes = Annotated[float, Meta(ge=0, le=10_080, description="a number of minutes from 0 to 10080")]
Quantity = Annotated[
    int, Meta(ge=1, le=QUANTITY_MAX, description=f"a whole number from 1 to {QUANTITY_MAX}")
]


def skill(text: str) -> str:
    """Return a skill in lower case, so that two spellings are one, or refuse the row."""
    if len(text) > 64 or re.search(r"[;\s]", text):
        raise UnusableRowError(f"skill {text!r} is no single word of up to 64 characters")
    return text.lower()


def parts(items: Mapping[str, int], needed: str | Mapping[str, int]) -> dict[int, int]:
    """Return quantities by item id, rising, from those by ref, or refuse the row."""
    by_ref = _read(items, needed) if isinstance(needed, str) else needed
    return dict(sorted((known(items, "item", ref), qty) for ref, qty in by_ref.items()))


def _read(items: Mapping[str, int], text: str) -> dict[str, int]:
    """Return quantities by ref from `P-0001:2;P-0002`, as a cell has them.

    A quantity is what follows the last colon, unless the whole is an item's own ref.
    """
    by_ref: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        is_ref = part in items or ":" not in part
        ref, _, quantity = (part, "", "1") if is_ref else part.rpartition(":")
        ref = ref.strip()
        if not re.fullmatch(r"\s*0*[1-9][0-9]{0,5}", quantity, re.ASCII):
            raise UnusableRowError(
                f"{part!r} needs a whole number from 1 to {QUANTITY_MAX} after its colon"
            )
        if ref in by_ref:
            raise UnusableRowError(f"item {ref} is twice among its parts: add them up")
        by_ref[ref] = int(quantity)
    return by_ref
