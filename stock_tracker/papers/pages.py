"""From data to PDF: a template of ours, data as JSON, and no file or font of the machine's.

Pages are set by typst (Apache-2.0), with the fonts that it carries. What people have written - names,
reasons - reaches a page as data and is never read as markup. The same data give the same bytes.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Final

import typst

TEMPLATES: Final = files(__package__ or __name__)


def pdf(template: str, data: object) -> bytes:
    """Return a PDF of a template.

    Args:
        template: Its file beside this module, like `pick_list.typ`.
        data: What the template reads, of types that JSON has.
    """
    made = _compiler().compile(
        TEMPLATES.joinpath(template).read_bytes(),
        format="pdf",
        sys_inputs={"data": json.dumps(data)},
        timestamp=0,
    )
    assert isinstance(made, bytes)  # noqa: S101  a PDF is one file
    return made


@cache
def _compiler() -> typst.Compiler:
    """Return the compiler, with its fonts read once."""
    return typst.Compiler(font_paths=typst.Fonts(include_system_fonts=False))
