"""A code is what it is: first exactly, then as a GTIN whose check digit is right, never a guess."""

import pytest
from biip.gtin import Gtin
from hypothesis import example, given
from hypothesis import strategies as st

from stock_tracker.barcodes import candidates, look_up, stored

DIGITS = "0123456789"


def with_check_digit(body: str) -> str:
    """GS1 General Specifications 7.9.1, written out: from the right, weights 3, 1, 3, …"""
    total = sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(reversed(body)))
    return body + str(-total % 10)


gtins = st.sampled_from([7, 11, 12, 13]).flatmap(
    lambda length: st.text(DIGITS, min_size=length, max_size=length).map(with_check_digit)
)


def test_the_check_digit_of_these_tests_is_that_of_gs1() -> None:
    assert with_check_digit("400638133393") == "4006381333931"
    assert with_check_digit("9638507") == "96385074"
    assert with_check_digit("03600029145") == "036000291452"


@pytest.mark.parametrize(
    ("scanned", "kept"),
    [
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("0036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
    ],
)
def test_a_gtin_is_looked_up_exactly_first_and_then_as_14_digits(scanned: str, kept: str) -> None:
    assert candidates(scanned.encode()) == (scanned, kept)


def test_a_gtin_of_14_digits_has_one_name() -> None:
    assert candidates(b"04006381333931") == ("04006381333931",)


def test_what_somebody_gave_a_meaning_goes_before_the_gtin_it_might_be() -> None:
    known = {"96385074": "our own shelf number", "00000096385074": "somebody's chocolate"}
    assert look_up(b"96385074", known) == "our own shelf number"
    assert look_up(b"96385074", {"00000096385074": "chocolate"}) == "chocolate"


def test_a_pack_is_not_the_piece_inside_it() -> None:
    piece, pack = "04006381333931", with_check_digit("1400638133393")
    assert look_up(pack.encode(), {piece: "piece"}) is None


@given(gtins)
@example("00000000")
@example("0000096385074")
def test_every_sound_gtin_is_found_under_its_14_digits(code: str) -> None:
    assert look_up(code.encode(), {code.zfill(14): "it"}) == "it"


@given(gtins)
@example("00000000")
def test_what_the_import_stores_is_what_a_scan_finds(code: str) -> None:
    assert look_up(code.encode(), {stored(code): "it"}) == "it"


@given(gtins, st.integers(1, 9))
def test_a_wrong_check_digit_is_never_read_as_a_gtin(code: str, off: int) -> None:
    wrong = code[:-1] + str((int(code[-1]) + off) % 10)
    assert candidates(wrong.encode()) == (wrong,)


@given(st.text(DIGITS, max_size=20).filter(lambda text: len(text) not in {8, 12, 13, 14}))
@example("10452")
@example("00340123450000000018")  # an SSCC is looked up as it is
def test_digits_of_another_length_are_not_read_as_anything_else(code: str) -> None:
    assert candidates(code.encode()) == (code,)


def test_an_internal_number_that_looks_like_a_lot_stays_an_internal_number() -> None:
    assert look_up(b"10452", {"452": "lot 452 (GS1 AI 10)"}) is None
    assert look_up(b"10452", {"10452": "shelf 10452"}) == "shelf 10452"


@pytest.mark.parametrize(
    "code",
    [
        "\x1d0104006381333931",
        "010400638133393110A\x1d2112",
        "FUSE\x1d",
        " FUSE",
        "FUSE ",
        "\tFUSE\r\n",
        "\x1d",
        " ",
    ],
)
def test_separators_and_spaces_are_part_of_the_code(code: str) -> None:
    assert candidates(code.encode()) == (code,)
    bare = {code.strip(): "stripped", code.replace("\x1d", ""): "without separators"}
    assert look_up(code.encode(), {text: it for text, it in bare.items() if text != code}) is None
    assert look_up(code.encode(), {code: "exact"}) == "exact"


def test_digits_around_a_separator_are_no_gtin() -> None:
    assert candidates(b"\x1d4006381333931") == ("\x1d4006381333931",)
    assert candidates(b" 4006381333931") == (" 4006381333931",)


def test_digits_of_other_scripts_are_no_gtin() -> None:
    code = "4006381333931".translate({ord("0") + n: 0x660 + n for n in range(10)})
    assert code.isdigit()
    assert candidates(code.encode()) == (code,)


def test_bytes_that_are_no_utf8_still_have_a_text() -> None:
    assert candidates(b"caf\xe9") == ("café",)
    assert candidates(b"\xff\xfe\x00") == ("\xff\xfe\x00",)
    assert look_up(b"caf\xe9", {"café": "a label printed in Latin-1"}) is not None


@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
def test_any_bytes_have_their_own_text_first_and_at_most_one_more(code: bytes) -> None:
    first, *others = candidates(code)
    assert first.encode() == code or first.encode("latin-1") == code
    assert len(others) <= 1
    assert all(len(text) == 14 and text.endswith(first) for text in others)
    assert look_up(code, {}) is None


@pytest.mark.parametrize(
    ("code", "as_stored"),
    [
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
        ("10614141000415", "10614141000415"),
        ("4006381333932", "4006381333932"),
        ("40063813339", "40063813339"),
        ("REF-4006381333931", "REF-4006381333931"),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", "٤٠٠٦٣٨١٣٣٣٩٣١"),
    ],
)
def test_a_gtin_is_stored_as_14_digits_and_any_other_code_as_it_is(
    code: str, as_stored: str
) -> None:
    assert stored(code) == as_stored


@given(
    st.sampled_from([7, 11, 12]).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n))
)
def test_of_ten_check_digits_one_makes_a_gtin(payload: str) -> None:
    codes = [f"{payload}{digit}" for digit in range(10)]
    (valid,) = [code for code in codes if stored(code) != code]
    assert Gtin.parse(valid).as_gtin_14() == stored(valid)
