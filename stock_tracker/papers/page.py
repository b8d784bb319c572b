"""From a template and its data to the bytes of a PDF.

The templates (`*.typ`) stand beside this module. What they print comes to them as one JSON text and
is never part of their source: a name like `#[x] $y` is printed as it is, and words have a language. Only the fonts that
typst brings are used - Libertinus Serif and DejaVu Sans Mono, for Latin, Greek and Cyrillic - and no
date is written (each template says `date: none`), so that the same data makes the same bytes on every
machine. A character which these fonts do not know is printed as a crossed box.

Nothing is fetched: the templates use no packages.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import typst

from storage.words import Words

Standard = Literal["ua-1"]
"""What a PDF may promise to be. `ua-1`: readable aloud (ISO 14289-1)."""

TEMPLATES: Final = Path(__file__).parent
#: typst keeps what went into its last ten documents, 45 MB for a list of 400 lines. After a large paper
#: as many empty ones push that out: 13 ms, and a server that stays at 110 MB instead of 540.
LARGE_BYTES: Final = 200_000
REMEMBERED: Final = 11


def pdf(
    template: str, data: Mapping[str, object], words: Words, standard: Standard | None = None
) -> bytes:
    """Return what a template makes of its data.

    Args:
        template: The file's name; it has no words of its own.
        data: What `json` can write.
        words: Those that `data` is written in.
        standard: What the PDF promises to be; typst checks it.
    """
    paper = typst.compile(
        TEMPLATES / template,
        root=TEMPLATES,
        font_paths=_fonts(),
        sys_inputs={"data": json.dumps({**data, "lang": words.locale.language})},
        pdf_standards=[standard] if standard else [],
    )
    if len(paper) > LARGE_BYTES:
        for _ in range(REMEMBERED):
            typst.compile(b"", font_paths=_fonts())
    return paper


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False)
