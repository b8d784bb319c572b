"""A code is what it is: first exactly, then as a GTIN whose check digit is right, never a guess."""

from datetime import date

import pytest
from biip.gtin import Gtin
from hypothesis import example, given
from hypothesis import strategies as st

from stock_tracker.barcodes import Meaning, keys, look_up, meanings, stored

DIGITS = "0123456789"


def found(code: bytes, known: dict[str, str], aim_id: str | None = None) -> str | None:
    """Return what a code is taken for."""
    taken = look_up(code, known, aim_id)
    return None if taken is None else taken[0]


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
    assert keys(scanned.encode()) == (scanned, kept)


def test_a_gtin_of_14_digits_has_one_name() -> None:
    assert keys(b"04006381333931") == ("04006381333931",)


def test_what_somebody_gave_a_meaning_goes_before_the_gtin_it_might_be() -> None:
    known = {"96385074": "our own shelf number", "00000096385074": "somebody's chocolate"}
    assert found(b"96385074", known) == "our own shelf number"
    assert found(b"96385074", {"00000096385074": "chocolate"}) == "chocolate"


def test_a_pack_is_not_the_piece_inside_it() -> None:
    piece, pack = "04006381333931", with_check_digit("1400638133393")
    assert look_up(pack.encode(), {piece: "piece"}) is None


@given(gtins)
@example("00000000")
@example("0000096385074")
def test_every_sound_gtin_is_found_under_its_14_digits(code: str) -> None:
    assert found(code.encode(), {code.zfill(14): "it"}) == "it"


@given(gtins)
@example("00000000")
def test_what_the_import_stores_is_what_a_scan_finds(code: str) -> None:
    assert found(code.encode(), {stored(code): "it"}) == "it"


@given(gtins, st.integers(1, 9))
def test_a_wrong_check_digit_is_never_read_as_a_gtin(code: str, off: int) -> None:
    wrong = code[:-1] + str((int(code[-1]) + off) % 10)
    assert keys(wrong.encode()) == (wrong,)


@given(st.text(DIGITS, max_size=20).filter(lambda text: len(text) not in {8, 12, 13, 14}))
@example("10452")
@example("00340123450000000018")  # an SSCC is looked up as it is
def test_digits_of_another_length_are_not_read_as_anything_else(code: str) -> None:
    assert keys(code.encode()) == (code,)


def test_an_internal_number_that_looks_like_a_lot_stays_an_internal_number() -> None:
    assert look_up(b"10452", {"452": "lot 452 (GS1 AI 10)"}) is None
    assert found(b"10452", {"10452": "shelf 10452"}) == "shelf 10452"


@pytest.mark.parametrize(
    "code",
    [
        "FUSE\x1d",
        " FUSE",
        "FUSE ",
        "\tFUSE\r\n",
        "\x1d",
        " ",
    ],
)
def test_separators_and_spaces_are_part_of_the_code(code: str) -> None:
    assert keys(code.encode()) == (code,)
    bare = {code.strip(): "stripped", code.replace("\x1d", ""): "without separators"}
    assert look_up(code.encode(), {text: it for text, it in bare.items() if text != code}) is None
    assert found(code.encode(), {code: "exact"}) == "exact"


def test_digits_around_a_separator_are_no_gtin() -> None:
    assert keys(b"\x1d4006381333931") == ("\x1d4006381333931",)
    assert keys(b" 4006381333931") == (" 4006381333931",)


def test_digits_of_other_scripts_are_no_gtin() -> None:
    code = "4006381333931".translate({ord("0") + n: 0x660 + n for n in range(10)})
    assert code.isdigit()
    assert keys(code.encode()) == (code,)


def test_bytes_that_are_no_utf8_still_have_a_text() -> None:
    assert keys(b"caf\xe9") == ("café",)
    assert keys(b"\xff\xfe\x00") == ("\xff\xfe\x00",)
    assert look_up(b"caf\xe9", {"café": "a label printed in Latin-1"}) is not None


def test_an_aim_identifier_with_nothing_behind_it_is_no_empty_code() -> None:
    assert keys(b"]A0") == ("]A0",)


@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
def test_any_bytes_have_their_own_text_first_and_at_most_one_more(code: bytes) -> None:
    first, *others = keys(code)
    assert first.encode() == code or first.encode("latin-1") == code
    if (
        first[:1] == "]" and first[3:] in others
    ):  # behind an AIM identifier there is a code of its own
        others.remove(first[3:])
        first = first[3:]
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


# ---- what people have scanned, and where they say so

#: Text, AIM identifier, what it means beside itself.
READ = [
    # odoo#163404: a phone puts the identifier in front; odoo#187875, #177958: a separator, or both.
    ("]C10101234567891231", None, Meaning("01234567891231")),
    ("\x1d0101234567891231", None, Meaning("01234567891231")),
    ("]C1\x1d0101234567891231", None, Meaning("01234567891231")),
    # odoo#157179: GS1-128 printed as Code 128, so that no identifier tells.
    ("0101234567891231", None, Meaning("01234567891231")),
    ("0101234567891231", "]C0", Meaning("01234567891231")),
    # odoo#99730: the separator ends the lot, and then comes a count.
    ("011111111111111310xyz\x1d3040", "]C1", Meaning("11111111111113", packs=40, lot="xyz")),
    # GS1Parser#5, with the separator that was missing.
    (
        "010404188511271221X12Y9JNZ96\x1d1721080610176600715",
        "]d2",
        Meaning("04041885112712", lot="176600715", serial="X12Y9JNZ96", expiry=date(2021, 8, 6)),
    ),
    # biip#253.
    (
        "0104046963351946172401011019A21G8345",
        "]d2",
        Meaning("04046963351946", lot="19A21G8345", expiry=date(2024, 1, 1)),
    ),
    # BarcodeScanner.Mobile#114: a serial, a production date and an expiry.
    (
        "\x1d01080328254985802112345\x1d1109010117100101",
        None,
        Meaning("08032825498580", serial="12345", expiry=date(2010, 1, 1)),
    ),
    # General Specifications 7.12: the day 00 is the last of the month.
    ("010703206980498817290200", "]d2", Meaning("07032069804988", expiry=date(2029, 2, 28))),
    ("7032069804988", None, Meaning("07032069804988")),
    ("7032069804988", "]E0", Meaning("07032069804988")),
    ("00123456789012345675", "]C1", Meaning("123456789012345675")),
    ("123456789012345675", None, Meaning("123456789012345675")),
]


@pytest.mark.parametrize(("text", "aim_id", "meaning"), READ)
def test_what_people_scan_is_read(text: str, aim_id: str | None, meaning: Meaning) -> None:
    said = meanings(text.encode(), aim_id)
    assert said[0] == Meaning(text)
    assert meaning in said
    assert len(said) == len({text, text.removeprefix("]C1"), meaning.key})


@pytest.mark.parametrize(
    ("text", "aim_id"),
    [
        ("1021072911172405310100693570007182", None),  # biip#137: no separator after the lot
        ("1021072911172405310100693570007182", "]d2"),
        ("01103663023000171021004371716020021925768618163", "]d2"),  # biip#113: as above
        ("010404188511271221X12Y9JNZ961721080610176600715", "]d2"),  # GS1Parser#5: as above
        ("3008#0100000000012348", None),  # odoo#135142: a separator of their own
        ("(01)11111111111113(10)xyz(30)40", None),  # odoo#99730: as people write it
        ("01)11111111111113", "]C1"),
        ("10452", None),  # a shelf number, though it could be lot 452
        ("17000001", None),  # no GTIN-8 either
        ("17000000", "]C1"),  # (17) alone names no article
        ("0107032069804989", "]C1"),  # a wrong check digit
        ("7032069804989", "]E0"),
        ("10452", "]E0"),
        ("00123456789012345676", "]C1"),
        ("123456789012345676", None),
        ("0107032069804988029876543210982", "]C1"),
        ("01070320698049883710", "]C1"),  # 01 stands for itself, 37 counts what is in 02
        ("02070320698049883710", "]C1"),  # 02 is inside 00
        ("0207032069804988", "]C1"),
        ("3012", "]C1"),
        ("21S7", "]C1"),
        ("010703206980498810A\x1d10B", "]C1"),  # two lots
        ("7032069804988", "]x9"),  # an identifier that there is not
    ],
)
def test_what_does_not_hold_together_is_not_read(text: str, aim_id: str | None) -> None:
    expected = (text,) if aim_id != "]x9" else (text, "07032069804988")
    assert keys(text.encode(), aim_id) == expected


def test_a_logistic_unit_is_itself_first_and_then_what_is_in_it() -> None:
    code = b"0012345678901234567502070320698049883710"
    assert meanings(code, "]C1")[1:] == (
        Meaning("123456789012345675"),
        Meaning("07032069804988", packs=10),
    )


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        # stock.md, part 5: the separator between lot 0329 and "best before" is missing.
        ("010703206980498810032915210525", "lot_ends_like_a_date"),
        ("010703206980498821S7\x1d10032915210525", "lot_ends_like_a_date"),
        ("010703206980498810032915210525\x1d21S7", None),  # it was closed
        ("010703206980498810032915211325", None),  # no 13th month
        ("010703206980498821AB17260131", "serial_ends_like_a_date"),
        ("010703206980498817260231", "expiry_is_no_date"),
        ("010703206980498817260131", None),
    ],
)
def test_what_may_have_swallowed_the_next_element_is_doubted(text: str, doubt: str | None) -> None:
    assert meanings(text.encode(), "]C1")[-1].doubt == doubt


def test_the_first_known_meaning_counts_and_says_the_rest() -> None:
    code = b"010703206980498810L1"
    known = {"07032069804988": "screw"}
    assert look_up(code, known) == ("screw", Meaning("07032069804988", lot="L1"))
    known[code.decode()] = "our own label"
    assert look_up(code, known) == ("our own label", Meaning(code.decode()))


def test_a_pack_has_its_own_row() -> None:
    pack = with_check_digit("1703206980498")
    code = f"01{pack}3002".encode()
    assert look_up(code, {"07032069804988": "piece"}, "]C1") is None
    assert look_up(code, {pack: "box"}, "]C1") == ("box", Meaning(pack, packs=2))
