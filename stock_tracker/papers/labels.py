"""Labels: one for each parcel, by which every depot knows it, and one for each bin.

A GS1 logistic label has three parts, from the top (GS1 General Specifications 6.6): free format, for
whom it comes from and goes to; text with data titles, for eyes and keyboards; and bar codes with what
they say under them. What this one keeps of the rules:

* The SSCC is the one thing that a logistic label must carry, and its bar code is the lowest (6.6.4.1.1).
* It is GS1-128: FNC1 first, AI 00, then the 18 digits (5.4). The same digits as plain Code 128 would
  be a number without a meaning.
* A module is 0.5 mm wide, bars are 32 mm high (at least 0.495 and 31.75 mm: symbol specification
  table 5), and 10 modules stay white on both sides (5.4.4.2).
* The interpretation under the bars says all that they say, the AI in parentheses, which are not in the
  bars (4.15).
* The data title is `SSCC`, whatever the reader's language, and the digits beside it are 7 mm high (6.6.4.2). Addresses and
  codes are at least 3 mm high, unless they are too long for their place (6.6.4.4): then they shrink,
  and at 6 points they lose their end. Titles are smaller.

The paper is A6 (105 x 148 mm), the smallest size that GS1 recommends. Releases of the
specifications keep their headings; the numbers of sections given here may move.

Bin labels come 24 on a sheet of A4: 3 beside 8 of 70 x 37 mm, as such sheets are sold. Print them at
100 %, not fitted to the page. Their Data Matrix holds the item's code as the items' table has it, so
that a scan of the bin is a scan of the item; an item without a code has its reference there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stock_tracker.barcodes import is_sscc
from stock_tracker.papers.page import pdf
from stock_tracker.papers.pick_list import Destination
from stock_tracker.papers.symbols import data_matrix, gs1_128_sscc
from storage.words import Words


@dataclass(frozen=True, slots=True)
class ShippingLabel:
    """What stands on a parcel.

    Attributes:
        sscc: Its 18 digits.
        order_code: The order that it fills, or a part of it.
        destination: Whom the parts are for.
        ship_from: Lines of an address.
        ship_to: Lines of an address, or a position in words.
        is_emergency: Whether it goes before everything else.
    """

    sscc: str
    order_code: str
    destination: Destination
    ship_from: tuple[str, ...]
    ship_to: tuple[str, ...]
    is_emergency: bool = False


@dataclass(frozen=True, slots=True)
class BinLabel:
    """What stands on a bin.

    Attributes:
        bin: The bin's own name.
        ref: The reference of the item in it.
        name: The item's name.
        code: What a scan of the item reads; empty where it has no code.
    """

    bin: str
    ref: str
    name: str
    code: str = ""


def sscc_label_pdf(label: ShippingLabel, words: Words) -> bytes:
    """Return a GS1 logistic label as a PDF of one A6 page; the same label makes the same bytes.

    Raises:
        ValueError: What should be an SSCC is none: no parcel leaves under a number nobody can trace.
    """
    if not is_sscc(label.sscc):
        raise ValueError(
            f"{label.sscc!r} is no SSCC: give 18 digits of which the last is the check digit"
        )
    bars = gs1_128_sscc(label.sscc)
    return pdf(
        "sscc_label.typ",
        {
            "sscc": label.sscc,
            "order_code": label.order_code,
            "van_code": label.destination.van_code,
            "technician": label.destination.technician,
            "ship_from": label.ship_from,
            "ship_to": label.ship_to,
            "is_emergency": label.is_emergency,
            "bars": {"svg": bars.svg, "modules_wide": bars.modules_wide},
            "words": {
                "title": words.t("Parcel {sscc}", sscc=label.sscc),
                "emergency": words.t("EMERGENCY"),
                "from": words.t("SHIP FROM"),
                "to": words.t("SHIP TO"),
                "order": words.t("ORDER"),
                "van": words.t("VAN"),
                "technician": words.t("TECHNICIAN"),
                "bars": words.t("{code} of {text}", code="GS1-128", text=f"(00){label.sscc}"),
            },
        },
        words,
    )


def bin_labels_pdf(labels: Sequence[BinLabel], words: Words) -> bytes:
    """Return labels as a PDF of A4 sheets, 24 on each, row by row; without labels an empty sheet."""
    return pdf(
        "bin_labels.typ",
        {
            "title": words.t("Bin labels"),
            "labels": [
                {
                    "bin": label.bin,
                    "ref": label.ref,
                    "name": label.name,
                    "matrix": data_matrix(label.code or label.ref).svg,
                    "alt": words.t("{code} of {text}", code="Data Matrix", text=label.ref),
                }
                for label in labels
            ],
        },
        words,
    )
