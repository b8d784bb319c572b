"""Bar codes as SVG, and the numbers of boxes. Pure.

Three symbols (drawn by pyStrich, Apache-2.0): Code 128 for what people may have to type, GS1-128 for the
number of a box, DataMatrix where room is short. A GS1-128 begins with FNC1, which tells a reader that
element strings follow; a Code 128 with the same digits would not be one (GS1 General Specifications
5.4). Quiet zones are part of each picture, so that no page can forget them.

A box is named by its SSCC: an extension digit, the company's GS1 prefix, a serial number, and a check
digit, 18 digits in all (2.2.1, 7.9). It is used again after a year at the earliest, so serials only grow.
"""

from typing import Final

from pystrich.code128 import Code128Data, Code128Encoder
from pystrich.datamatrix import DataMatrixEncoder
from pystrich.gs1 import GS1Fixed

SSCC_BODY: Final = 17
PREFIX_DIGITS: Final = range(4, 13)


def sscc(company_prefix: str, serial: int, extension: int = 0) -> str:
    """Return the 18 digits of a box.

    Raises:
        ValueError: The prefix is not 4 to 12 digits, or the serial has no room behind it.
    """
    if not (company_prefix.isdecimal() and len(company_prefix) in PREFIX_DIGITS):
        raise ValueError(f"a GS1 company prefix has 4 to 12 digits, not {company_prefix!r}")
    room = SSCC_BODY - 1 - len(company_prefix)
    if not 0 <= serial < 10**room or not 0 <= extension <= 9:
        raise ValueError(
            f"behind prefix {company_prefix} there is room for {room} digits of serial"
        )
    body = f"{extension}{company_prefix}{serial:0{room}d}"
    weighed = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body)))
    return f"{body}{-weighed % 10}"


def code_128(text: str) -> str | None:
    """Return a Code 128 without text under it; None for a text that it cannot hold (not ASCII)."""
    if not (text.isascii() and text.isprintable()):
        return None
    return str(Code128Encoder(text, {"show_label": False}).get_svg())


def gs1_128_of_box(number: str) -> str:
    """Return the GS1-128 of a box's number: FNC1, then element string (00)."""
    fields = Code128Data.gs1(GS1Fixed("00", number))
    return str(Code128Encoder(fields, {"show_label": False}).get_svg())


def data_matrix(text: str) -> str:
    """Return a DataMatrix (ECC 200) of a text."""
    return str(DataMatrixEncoder(text).get_svg())
