"""Serial Shipping Container Codes: one number for each parcel, and never the same again.

Eighteen digits (GS1 General Specifications 3.3.1, AI 00):

    extension digit | GS1 Company Prefix | serial reference | check digit
         1          |      4 to 12       |  what is left    |      1

Extension, prefix and serial fill seventeen digits; the issuer counts the serial up and must not use an
SSCC again within a year of the parcel's journey (2.2.1). The check digit is that of 7.9: from the
right, weights 3, 1, 3, ...; what lacks to the next multiple of ten.

Where the serial is counted is not known here.
"""

from typing import Final

DIGITS: Final = 17  # before the check digit
PREFIX_LENGTHS: Final = range(4, 13)


def sscc(company_prefix: str, serial: int, extension: int = 0) -> str:
    """Return the 18 digits of an SSCC.

    Args:
        company_prefix: The GS1 Company Prefix, 4 to 12 digits, leading zeros included.
        serial: Counts the parcels of this prefix and extension, from 0.
        extension: A digit, to be chosen freely; each has serials of its own.

    Raises:
        ValueError: A part that is none of the above; the message says which.
    """
    if not (
        company_prefix.isascii()
        and company_prefix.isdigit()
        and len(company_prefix) in PREFIX_LENGTHS
    ):
        raise ValueError(
            f"{company_prefix!r} is no GS1 Company Prefix: give its 4 to 12 digits, without spaces"
        )
    if not 0 <= extension <= 9:
        raise ValueError(f"{extension} is no extension digit: give one of 0 to 9")
    room = DIGITS - 1 - len(company_prefix)
    if not 0 <= serial < 10**room:
        raise ValueError(
            f"Serial {serial} does not fit: behind the prefix {company_prefix} there is room for "
            f"0 to {10**room - 1}; take the next extension digit when the serials are used up"
        )
    body = f"{extension}{company_prefix}{serial:0{room}d}"
    return body + check_digit(body)


def check_digit(body: str) -> str:
    """Return the check digit for the digits before it (GS1 General Specifications 7.9)."""
    total = sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(reversed(body)))
    return str(-total % 10)
