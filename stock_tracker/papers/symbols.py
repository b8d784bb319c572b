"""Bar codes as drawings: SVG with one unit a module, quiet zones included.

A symbol knows its size in modules; the page chooses how wide a module is printed (the X-dimension).
All dark modules are one path, so that no rasteriser draws hairlines between neighbours. Text under a
symbol is the page's business.

* Code 128 (ISO/IEC 15417) for text in ASCII. A symbol that opens with FNC1 is GS1-128 (GS1 General
  Specifications 5.4): a reader tells it by the AIM identifier `]C1`, a plain one by `]C0`. The quiet
  zones are 10 modules left and right (5.4.4.2).
* Data Matrix ECC 200 (ISO/IEC 16022) for any text; beyond Latin-1 it says so by an ECI. The quiet
  zone is one module, drawn as two here.

Encoding is pyStrich's (Apache-2.0).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pystrich.code128 import Code128Data, Code128Encoder
from pystrich.datamatrix import DataMatrixData, DataMatrixEncoder
from pystrich.gs1 import GS1Fixed

LINEAR_QUIET_ZONE: Final = 10
MATRIX_QUIET_ZONE: Final = 2

#: x, y, width and height of a dark rectangle, in modules.
Mark = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A drawing of a bar code.

    Attributes:
        svg: Stretches to whatever box it is put in.
        modules_wide: With the quiet zones.
        modules_high: As above; 1 for bars, whose height is free.
    """

    svg: str
    modules_wide: int
    modules_high: int


def code_128(text: str) -> Symbol | None:
    """Return a text as Code 128; None where it is not printable ASCII, so that bars cannot say it."""
    if not text or not (text.isascii() and text.isprintable()):
        return None
    return _bars(Code128Data(text, encoding="ascii"))


def gs1_128_sscc(sscc: str) -> Symbol:
    """Return an SSCC as GS1-128: FNC1, then AI 00 and the 18 digits."""
    return _bars(Code128Data.gs1(GS1Fixed("00", sscc)))


def data_matrix(text: str) -> Symbol:
    """Return a text as a square Data Matrix."""
    encoder = DataMatrixEncoder(
        DataMatrixData(text, auto_encoding=True), quiet_zone=MATRIX_QUIET_ZONE
    )
    found = encoder.get_rect_marks()
    return Symbol(_svg(found.marks, found.width, found.height), found.width, found.height)


def _bars(content: Code128Data) -> Symbol:
    bars = Code128Encoder(content).bars
    wide = len(bars) + 2 * LINEAR_QUIET_ZONE
    marks = (
        (LINEAR_QUIET_ZONE + bar.start(), 0, bar.end() - bar.start(), 1)
        for bar in re.finditer("1+", bars)
    )
    return Symbol(_svg(marks, wide, 1), wide, 1)


def _svg(marks: Iterable[Mark], wide: int, high: int) -> str:
    path = "".join(f"M{x} {y}h{w}v{h}h-{w}z" for x, y, w, h in marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" '
        f'preserveAspectRatio="none"><path d="{path}"/></svg>'
    )
