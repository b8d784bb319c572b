"""The report of a visit: who was on site from when to when, what was done with which parts, who signed.

It is a paper for the client's files, so it says what it knows and how: times come from where the van
was, and where that is uncertain it says so. The signature is a picture, of path data in a box of 600 by
200 units or a PNG; both were checked when they came (`ingest/signatures.py`). It holds no position and
no van.

The page can be read aloud: it is tagged (PDF/UA-1), in reading order, its table has a header, and the
signature says whose it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from xml.sax.saxutils import quoteattr

from stock_tracker.papers import values
from stock_tracker.papers.page import pdf
from storage.words import Words, sentence

#: How wide and high the box is in which a signature is drawn, in its own units, and its pen.
BOX: Final = (600, 200)
PEN: Final = 3
KINDS: Final = {"issue": sentence("used"), "return": sentence("returned")}


@dataclass(frozen=True, slots=True)
class Part:
    """A part that was used, or taken back (`kind`: issue, return), in base units."""

    ref: str
    name: str
    kind: str
    qty: int
    base_unit: str


@dataclass(frozen=True, slots=True)
class Presence:
    """When somebody was on site, by where the van was; `left_at` is None while it is there."""

    arrived_at: datetime
    left_at: datetime | None
    is_uncertain: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, as what, and the picture: path data in `BOX`, or a PNG."""

    name: str
    role: str | None
    path: str | None = None
    png: bytes | None = None


@dataclass(frozen=True, slots=True)
class VisitPaper:
    """A report, ready to be printed.

    Attributes:
        report: Its stable name.
        site: The site's code and name.
        client: The company that it belongs to, if any.
        technician: Who was there.
        work_order: The job's number, if it has one.
        time_zone: The site's IANA zone.
        planned: The planned window, if the visit was planned.
        presence: None where the van was not seen there.
        written_at: When it was signed, or written where nobody was there to sign.
        work: What was done.
        parts: In any order.
        signature: None where the client was absent.
    """

    report: str
    site: tuple[str, str]
    client: str | None
    technician: str | None
    work_order: str | None
    time_zone: str
    planned: tuple[datetime, datetime] | None
    presence: Presence | None
    written_at: datetime
    work: str
    parts: tuple[Part, ...]
    signature: Signature | None


def visit_report_pdf(it: VisitPaper, words: Words) -> bytes:
    """Return the report as a PDF of A4 pages; the same report makes the same bytes."""
    code, name = it.site
    written = values.moment(words, it.written_at, it.time_zone)
    return pdf(
        "visit_report.typ",
        {
            "report": it.report,
            "title": words.t("Visit report: {site}", site=name),
            "facts": [*_facts(it, code, words)],
            "times": [*_times(it, words)],
            "doubt": _doubt(it.presence, words),
            "work": it.work.strip(),
            "parts": [
                {
                    "ref": part.ref,
                    "name": part.name,
                    "kind": words.t(KINDS[part.kind]) if part.kind in KINDS else part.kind,
                    "qty": values.quantity(words, part.qty, part.base_unit),
                }
                for part in sorted(it.parts, key=lambda part: (part.ref, part.kind))
            ],
            "signature": _picture(it.signature, words),
            "signed": [*_signed(it, words)],
            "words": {
                "unsigned": words.t("Nobody was there to sign; written {time}.", time=written),
                "on_site": words.t("On site"),
                "work": words.t("Work done"),
                "no_work": words.t("Nothing was written down."),
                "parts": words.t("Parts"),
                "no_parts": words.t("No parts were used."),
                "reference": words.t("Reference"),
                "part": words.t("Part"),
                "use": words.t("Movement"),
                "quantity": words.t("Quantity"),
                "signature": words.t("Signature"),
            },
        },
        words,
        standard="ua-1",
    )


def _facts(it: VisitPaper, code: str, words: Words) -> Iterator[tuple[str, str]]:
    yield words.t("Site"), code
    if it.client is not None:
        yield words.t("Client"), it.client
    if it.technician is not None:
        yield words.t("Technician"), it.technician
    if it.work_order is not None:
        yield words.t("Work order"), it.work_order


def _times(it: VisitPaper, words: Words) -> Iterator[tuple[str, str]]:
    def local(at: datetime) -> str:
        return values.moment(words, at, it.time_zone)

    if it.planned is not None:
        begin, end = it.planned
        yield words.t("Planned"), words.t("{begin} to {end}", begin=local(begin), end=local(end))
    if it.presence is None:
        yield words.t("Arrived"), words.t("not known: the van was not seen at this site")
        return
    yield words.t("Arrived"), local(it.presence.arrived_at)
    if it.presence.left_at is None:
        yield words.t("Left"), words.t("not yet")
        return
    yield words.t("Left"), local(it.presence.left_at)
    minutes = round((it.presence.left_at - it.presence.arrived_at).total_seconds() / 60)
    span = words.t("{hours} h {minutes} min", hours=minutes // 60, minutes=f"{minutes % 60:02}")
    yield words.t("On site for"), span


def _doubt(presence: Presence | None, words: Words) -> str:
    if presence is None or not presence.is_uncertain:
        return ""
    return words.t(
        "The van was last seen on site more than five minutes before it was seen elsewhere."
    )


def _signed(it: VisitPaper, words: Words) -> Iterator[tuple[str, str]]:
    if it.signature is None:
        return
    role = f", {it.signature.role}" if it.signature.role else ""
    yield words.t("Signed by"), f"{it.signature.name}{role}"
    yield words.t("Signed on"), values.moment(words, it.written_at, it.time_zone)


def _picture(signature: Signature | None, words: Words) -> dict[str, object] | None:
    """Return the signature as bytes that the template draws; None where nobody signed."""
    if signature is None:
        return None
    alt = words.t("Signature of {name}", name=signature.name)
    if signature.png is not None:
        return {"alt": alt, "format": "png", "bytes": [*signature.png]}
    svg = drawing(signature.path or "")
    return {"alt": alt, "format": "svg", "bytes": [*svg.encode()]}


def drawing(path: str) -> str:
    """Return path data as an SVG picture: a black pen, nothing filled."""
    width, height = (side + 4 * PEN for side in BOX)  # room for the pen along the edges
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-2 * PEN} {-2 * PEN} {width} {height}">'
        f'<path d={quoteattr(path)} fill="none" stroke="#000" stroke-width="{PEN}"'
        ' stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )
