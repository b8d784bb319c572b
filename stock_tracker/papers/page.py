"""From a template and its data to the bytes of a PDF.

The templates (`*.typ`) stand beside this module. What they print comes to them as one JSON text and
is never part of their source, so that a name like `#[x] $y` is printed as it is. Only the fonts that
typst brings are used - Libertinus Serif and DejaVu Sans Mono, for Latin, Greek and Cyrillic - and no
date is written (each template says `date: none`), so that the same data makes the same bytes on every
machine. A character which these fonts do not know is printed as a crossed box.

Nothing is fetched: the templates use no packages.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import typst

TEMPLATES: Final = Path(__file__).parent
#: typst keeps what went into its last ten documents, 45 MB for a list of 400 lines. After a large paper
#: as many empty ones push that out: 13 ms, and a server that stays at 110 MB instead of 540.
LARGE_BYTES: Final = 200_000
REMEMBERED: Final = 11


def pdf(template: str, data: Mapping[str, object]) -> bytes:
    """Return what a template makes of its data.

    Args:
        template: The file's name.
        data: What `json` can write.
    """
    paper = typst.compile(
        TEMPLATES / template,
        root=TEMPLATES,
        font_paths=_fonts(),
        sys_inputs={"data": json.dumps(data)},
    )
    if len(paper) > LARGE_BYTES:
        for _ in range(REMEMBERED):
            typst.compile(b"", font_paths=_fonts())
    return paper


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False)
