"""From the bytes of a scan to the codes it may stand for, best first; never a guess.

A code is looked up exactly as it came. Only if nobody has given it a meaning is it read as a GTIN:
8, 12, 13 or 14 digits with a valid check digit (GS1 General Specifications, 7.9), which stand in
the table as 14. Bytes are kept as they are: stripping "white space" would eat the separator FNC1.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from biip import ParseError
from biip.gtin import Gtin

Found = TypeVar("Found")

GTIN_LENGTHS: Final = frozenset({8, 12, 13, 14})


def candidates(code: bytes) -> tuple[str, ...]:
    """Return the texts to look a code up by, in order of preference.

    Bytes that are no UTF-8 are read as Latin-1, so that every byte string has a text.
    """
    try:
        text = code.decode()
    except UnicodeDecodeError:
        text = code.decode("latin-1")
    return tuple(dict.fromkeys((text, stored(text))))


def look_up(code: bytes, known: Mapping[str, Found]) -> Found | None:
    """Return what the first known candidate of a code stands for."""
    return next((known[text] for text in candidates(code) if text in known), None)


def stored(code: str) -> str:
    """Return a code as the table holds it: a GTIN as its 14 digits, any other as it is."""
    if not (code.isascii() and code.isdigit() and len(code) in GTIN_LENGTHS):
        return code
    try:
        return Gtin.parse(code).value.rjust(14, "0")
    except ParseError:
        return code
