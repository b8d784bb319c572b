"""A picture that came as a signature is drawn by every program, or it is not taken."""

import io
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ingest.batch import Batch, Delivery, Van, decode
from ingest.messages import VisitReport, encode
from ingest.signatures import SIDE_MAX, SIGNATURE, objection

NOW = 1_790_000_000_000
VANS = {"van-001": Van(1, 1, "van-001", {})}
MODES = ("L", "LA", "RGB", "RGBA")


def png(mode: str = "RGBA", size: tuple[int, int] = (60, 20), **how: object) -> bytes:
    out = io.BytesIO()
    rng = random.Random(1)
    picture = Image.new(mode, size)
    for _ in range(30):
        picture.putpixel((rng.randrange(size[0]), rng.randrange(size[1])), rng.choice([0, 1]) if len(mode) == 1 else tuple([0] * len(mode)))  # fmt: skip
    picture.save(out, "PNG", **how)
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def made(pixels: bytes, width: int = 2, height: int = 1, **fields: int) -> bytes:
    values = {"depth": 8, "colour": 0, "interlace": 0} | fields
    head = struct.pack(
        ">IIBBBBB", width, height, values["depth"], values["colour"], 0, 0, values["interlace"]
    )
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (600, 200), (7, 311)])
def test_what_a_canvas_writes_is_taken(mode: str, size: tuple[int, int]) -> None:
    assert objection(png(mode, size)) is None


GOOD = zlib.compress(b"\0\x00\xff")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", "no PNG"),
        (b"GIF89a" + bytes(60), "no PNG"),
        (SIGNATURE, "middle"),
        (SIGNATURE + chunk(b"IEND", b""), "IHDR"),
        (made(GOOD)[:-3], "middle"),
        (made(GOOD).replace(GOOD[:4], GOOD[:3] + b"\0"), "damaged"),
        (made(GOOD, width=SIDE_MAX + 1), "pixels; it may"),
        (made(GOOD, height=0), "pixels; it may"),
        (made(GOOD, width=2**31, height=2**31), "pixels; it may"),
        (made(GOOD, depth=16), "8 bits"),
        (made(GOOD, colour=3), "8 bits"),
        (made(GOOD, interlace=1), "8 bits"),
        (made(b"no zlib"), "unpacked"),
        (made(zlib.compress(b"\0\x00")), "more or fewer"),
        (made(zlib.compress(bytes(10_000_000))), "more or fewer"),
        (made(zlib.compress(b"\0\x00\xff")[:-2]), "more or fewer"),
        (made(zlib.compress(b"\x05\x00\xff")), "filter"),
    ],
)
def test_what_cannot_be_drawn_or_would_be_huge_is_refused_with_the_reason(
    bad: bytes, why: str
) -> None:
    assert why in (objection(bad) or "taken")


@given(st.binary(max_size=200), st.integers(0, 200), st.sampled_from(MODES))
def test_whatever_is_taken_another_reader_draws_too(junk: bytes, at: int, mode: str) -> None:
    whole = png(mode, (9, 4))
    for candidate in (whole[:at] + junk + whole[at + len(junk) :], junk, SIGNATURE + junk):
        if objection(candidate) is None:
            with Image.open(io.BytesIO(candidate)) as picture:
                picture.load()


def said(**fields: object) -> Batch:
    report = VisitReport("e", 1, NOW, "S-1", **fields)  # type: ignore[arg-type]
    return decode([Delivery("fleet/v1/van-001/report", encode(report))], VANS, NOW)


SIGNED: dict[str, object] = {"signer": "Ms X", "signature_svg": "M0 0"}


@pytest.mark.parametrize(
    "fields",
    [SIGNED, {"signer": "Ms X", "signature_png": png()}, {"absent": True}, {"absent": True, "work": "w"}],
)  # fmt: skip
def test_a_report_is_signed_or_its_client_was_absent(fields: dict[str, object]) -> None:
    batch = said(**fields)
    assert len(batch.visit_reports) == 1
    assert batch.rejections == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"signer": "Ms X"},
        {"signature_svg": "M0 0"},
        {**SIGNED, "absent": True},
        {"signer": "Ms X", "absent": True},
        {**SIGNED, "signature_png": png()},
        {"signer": "Ms X", "signature_png": b"no picture"},
    ],
)
def test_a_report_that_is_neither_or_both_is_rejected_and_its_number_is_not_lost(
    fields: dict[str, object],
) -> None:
    batch = said(**fields)
    assert batch.visit_reports == []
    (rejection,) = batch.rejections
    assert rejection.reason == "bad_payload"
    assert rejection.key is not None
    assert rejection.key.seq == 1


def test_a_report_of_a_time_to_come_is_rejected() -> None:
    late = VisitReport("e", 1, NOW + 3_600_000, "S-1", absent=True)
    batch = decode([Delivery("fleet/v1/van-001/report", encode(late))], VANS, NOW)
    assert [rejection.reason for rejection in batch.rejections] == ["future"]
