"""From what a scanner read to what it may mean, best first; never a guess.

A code has the meanings below, in this order; the first whose key somebody has entered counts, and if
none is known, nothing happens until one is. Bytes are kept as they are: stripping "white space" would
eat the separator FNC1 (0x1D).

| what was read                                            | key                  | and also           |
| -------------------------------------------------------- | -------------------- | ------------------ |
| anything                                                 | the text as it came  |                    |
| anything after an AIM identifier in the text (`]C0...`)  | the text without it  |                    |
| `]C1 ]d2 ]Q3 ]e0 ]J1`, or a separator first: GS1 element | GTIN of (01), (02);  | lot (10), serial   |
| strings, and nothing else                                | SSCC of (00)         | (21), expiry (17), |
|                                                          |                      | count (30), (37)   |
| `]E0 ]E4 ]I1`: a GTIN, and nothing else                  | 14 digits            |                    |
| else 8, 12, 13 or 14 digits with their check digit       | 14 digits            |                    |
| else 18 digits with their check digit: SSCC              | 18 digits            |                    |
| else what begins with (00), (01) or (02) and reads whole | as element strings   | as above           |

So a pack is not the piece inside it: the indicator digit of a GTIN-14 is part of the key, and packs
have rows of their own. Of element strings must hold what the GS1 General Specifications ask (4.13): 01
neither with 02 nor 37, 02 with 37, 37 with 00 and 02, 30 with 01 or 02, 21 with 01, check digits right,
each once. What does not hold makes the whole unreadable, not a part of it.

A lot or serial that is not closed by a separator and ends like a date - `15210525` would be "best
before" - may have swallowed the next element: that is a *doubt*, kept with the scan, and no correction.
Parsing is biip's (Apache-2.0); dates are taken whatever they are (DD = 00 is the end of the month).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal, TypeVar

from biip import ParseConfig, ParseError
from biip.gs1_element_strings import GS1ElementString
from biip.gs1_messages import GS1Message
from biip.gtin import Gtin
from biip.sscc import Sscc

Found = TypeVar("Found")
Doubt = Literal["lot_ends_like_a_date", "serial_ends_like_a_date", "expiry_is_no_date"]

SEPARATOR: Final = "\x1d"
GTIN_LENGTHS: Final = frozenset({8, 12, 13, 14})
SSCC_LENGTH: Final = 18
AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")
ELEMENT_CARRIERS: Final = frozenset({"]C1", "]d2", "]Q3", "]e0", "]J1"})
GTIN_CARRIERS: Final = frozenset({"]E0", "]E4", "]I1"})
FIRST_ELEMENTS: Final = ("00", "01", "02")

#: What an element needs beside it, one of these sets; and what it must not stand beside.
NEEDS: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "02": (frozenset({"37"}),),
    "21": (frozenset({"01"}),),
    "30": (frozenset({"01"}), frozenset({"02"})),
    "37": (frozenset({"00", "02"}),),
}
NOTHING: Final = (frozenset[str](),)
EXCLUDES: Final[Mapping[str, frozenset[str]]] = {"01": frozenset({"02", "37"})}
#: A date at the end of a text that nothing has closed: AI 11 to 17, then YYMMDD.
ENDS_LIKE_A_DATE: Final = re.compile(r".1[1-7]\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])$")

_CONFIG: Final = ParseConfig(gs1_element_strings_verify_date=False)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that a code may stand for.

    Attributes:
        key: The text by which it is looked up.
        packs: How many of it, by (30) or (37); None where the code does not say.
        lot: Empty where there is none.
        serial: Empty where there is none.
        expiry: The last day of use.
        doubt: What somebody should look at.
    """

    key: str
    packs: int | None = None
    lot: str = ""
    serial: str = ""
    expiry: date | None = None
    doubt: Doubt | None = None


@lru_cache(maxsize=10_000)  # a batch asks twice, and vans scan the same codes again
def meanings(code: bytes, aim_id: str | None = None) -> tuple[Meaning, ...]:
    """Return what a code may stand for, in order of preference, each key once.

    Bytes that are no UTF-8 are read as Latin-1, so that every byte string has a text.

    Args:
        code: As the scanner read it.
        aim_id: The AIM identifier of the symbol, like `]C1`, where the scanner tells it.
    """
    text = _text(code)
    carrier, body = aim_id, text
    if AIM.match(text):
        carrier, body = carrier or text[:3], text[3:]
    first: dict[str, Meaning] = {}
    for meaning in (Meaning(text), Meaning(body), *_read(body, carrier)):
        if meaning.key or not text:
            first.setdefault(meaning.key, meaning)
    return tuple(first.values())


def keys(code: bytes, aim_id: str | None = None) -> tuple[str, ...]:
    """Return the texts to look a code up by, in order of preference."""
    return tuple(meaning.key for meaning in meanings(code, aim_id))


def look_up(
    code: bytes, known: Mapping[str, Found], aim_id: str | None = None
) -> tuple[Found, Meaning] | None:
    """Return what the first known meaning of a code stands for, with that meaning."""
    return next(
        ((known[it.key], it) for it in meanings(code, aim_id) if it.key in known),
        None,
    )


def sscc(code: bytes, aim_id: str | None = None) -> str | None:
    """Return the 18 digits of the box that a code is the number of; None for any other code."""
    return next((key for key in keys(code, aim_id) if is_sscc(key)), None)


def stored(code: str) -> str:
    """Return a code as the table holds it: a GTIN as its 14 digits, any other as it is."""
    return _gtin(code) or code


def _text(code: bytes) -> str:
    try:
        return code.decode()
    except UnicodeDecodeError:
        return code.decode("latin-1")


def _read(body: str, carrier: str | None) -> list[Meaning]:
    if carrier in ELEMENT_CARRIERS or body.startswith(SEPARATOR):
        return _elements(body.removeprefix(SEPARATOR))
    gtin = _gtin(body)
    if carrier in GTIN_CARRIERS or gtin:
        return [Meaning(gtin)] if gtin else []
    if is_sscc(body):
        return [Meaning(body)]
    return _elements(body) if body.startswith(FIRST_ELEMENTS) else []


def _gtin(text: str) -> str | None:
    """Return the 14 digits of a GTIN with its check digit; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) in GTIN_LENGTHS):
        return None
    try:
        return Gtin.parse(text).value.rjust(14, "0")
    except ParseError:
        return None


def is_sscc(text: str) -> bool:
    """Whether a text is an SSCC: 18 digits, the last of them their check digit."""
    if not (text.isascii() and text.isdigit() and len(text) == SSCC_LENGTH):
        return False
    try:
        Sscc.parse(text)
    except ParseError:
        return False
    return True


def _elements(body: str) -> list[Meaning]:
    """Return what GS1 element strings say; nothing if they do not hold together."""
    try:
        message = GS1Message.parse(body, config=_CONFIG)
    except ParseError:
        return []
    by_ai = {element.ai.ai: element for element in message.element_strings}
    if len(by_ai) < len(message.element_strings) or not _holds_together(by_ai):
        return []
    found = [Meaning(by_ai["00"].value)] if "00" in by_ai else []
    return found + [_article(by_ai, ai, body) for ai in ("01", "02") if ai in by_ai]


def _holds_together(by_ai: Mapping[str, GS1ElementString]) -> bool:
    present = by_ai.keys()
    for ai, element in by_ai.items():
        if not any(needed <= present for needed in NEEDS.get(ai, NOTHING)):
            return False
        if EXCLUDES.get(ai, frozenset()) & present:
            return False
        if (ai == "00" and element.sscc is None) or (ai in {"01", "02"} and element.gtin is None):
            return False
    return True


def _article(by_ai: Mapping[str, GS1ElementString], ai: str, body: str) -> Meaning:
    def value(of: str) -> str:
        return by_ai[of].value if of in by_ai else ""

    packs = value("30") or value("37")
    expiry = by_ai["17"].date if "17" in by_ai else None
    return Meaning(
        key=value(ai),
        packs=int(packs) if packs else None,
        lot=value("10"),
        serial=value("21"),
        expiry=expiry,
        doubt=_doubt(value("10"), value("21"), body, has_expiry="17" in by_ai and expiry is None),
    )


def _doubt(lot: str, serial: str, body: str, *, has_expiry: bool) -> Doubt | None:
    if lot and body.endswith(lot) and ENDS_LIKE_A_DATE.search(lot):
        return "lot_ends_like_a_date"
    if serial and body.endswith(serial) and ENDS_LIKE_A_DATE.search(serial):
        return "serial_ends_like_a_date"
    return "expiry_is_no_date" if has_expiry else None
