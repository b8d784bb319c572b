"""Labels: of a box on its way, and of the bins that items lie in.

A box's label is a GS1 logistic label of 105 x 148 mm (General Specifications 6.6): who sends it to whom in
words at the top, the SSCC in words and as GS1-128 at the bottom, its bars 32 mm high and nothing beside
their quiet zones. Whoever receives the box scans that one code. Bin labels come three by eight on a page of
A4, each with a DataMatrix of the item's code, or of its reference where it has none.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from stock_tracker.papers import pages, symbols


@dataclass(frozen=True, slots=True)
class BoxLabel:
    """What stands on a box."""

    sscc: str
    order: str
    van: str
    ship_from: Sequence[str]
    ship_to: Sequence[str]
    note: str = ""


@dataclass(frozen=True, slots=True)
class BinLabel:
    """What stands on a bin; `code` is what its DataMatrix says."""

    bin: str
    ref: str
    name: str
    code: str


def box_pdf(label: BoxLabel) -> bytes:
    """Return the label of a box, one page of 105 x 148 mm."""
    return pages.pdf(
        "box_label.typ",
        {
            **asdict(label),
            "bars": symbols.gs1_128_of_box(label.sscc),
            "matrix": symbols.data_matrix(label.order),
        },
    )


def bins_pdf(labels: Sequence[BinLabel]) -> bytes:
    """Return labels of bins, 24 on each page of A4."""
    data = [{**asdict(label), "matrix": symbols.data_matrix(label.code)} for label in labels]
    return pages.pdf("bin_labels.typ", {"labels": data})
