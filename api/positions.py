"""Positions in the words of apps that people have, in the words of the wire contract. Pure.

**Traccar Client and others that speak OsmAnd's protocol** (Traccar's `OsmAndProtocolDecoder` reads the
same): `lat`, `lon` or `location`, `timestamp` in seconds, milliseconds or ISO 8601, `speed` in knots,
`bearing` or `heading` in degrees, `accuracy` in metres, `batt` in percent, `ignition`. Newer ones send
JSON: speed in m/s, the battery from 0 to 1, and -1 for what they do not know.

| of theirs                | of ours        | how                                                |
| ------------------------ | -------------- | -------------------------------------------------- |
| timestamp                | t              | ms; numbers below 2^31 are seconds; no zone is UTC |
| speed (query, form)      | speed_mps      | a knot is 1,852 m in 3,600 s                       |
| coords.speed (JSON)      | speed_mps      | as it is                                           |
| bearing, heading         | bearing_deg    | as it is                                           |
| accuracy                 | acc_m          | as it is; 0 is not known                           |
| batt; battery.level      | battery_pct    | as it is; times 100                                |
| valid=false              | -              | a position without `lat` and `lon`, so set aside   |

What is negative is not known and left out. The distance that an app has counted is no odometer of a van.
What cannot be read is passed on as it came: ingest sets it aside, with what it says.

**OwnTracks** needs no other words: ingest reads its own. Of what it sends to an address, only what can
hold a position or a presence of the van is passed on (`is_for_us`).
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

import msgspec

MPS_PER_KNOT: Final = Fraction(1_852, 3_600)
NUMBER: Final = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?", re.ASCII)
#: Above, a number is no time of this century in seconds.
SECONDS_BELOW: Final = 2**31
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FALSE: Final = frozenset({"false", "0", "no"})
#: What OwnTracks sends besides, and nobody here reads: regions, friends, steps, commands.
NOT_FOR_US: Final = frozenset(
    {"waypoint", "waypoints", "card", "cmd", "steps", "beacon", "dump", "status", "configuration",
     "request", "tour", "tours", "msg"}
)  # fmt: skip

Position = dict[str, object]
"""The fields of a position of the wire contract, as far as they are known."""


def of_query(said: Mapping[str, str]) -> Position:
    """Return the position that names and values of a query or a form say."""
    latitude, longitude = said.get("lat"), said.get("lon")
    if "location" in said:
        latitude, _, longitude = said["location"].partition(",")
    if said.get("valid", "true").lower() in FALSE:
        latitude = longitude = None
    return _position(
        t=_time(said.get("timestamp")),
        lat=_number(latitude),
        lon=_number(longitude),
        acc_m=_more_than_nothing(_known(_number(said.get("accuracy")))),
        speed_mps=_times(_known(_number(said.get("speed"))), MPS_PER_KNOT),
        bearing_deg=_known(_number(said.get("bearing", said.get("heading")))),
        ignition={"true": True, "false": False}.get(said.get("ignition", "").lower()),
        battery_pct=_known(_number(said.get("batt"))),
    )


def of_json(body: Mapping[str, Any]) -> list[Position]:
    """Return the position, or the several, of the JSON that newer apps send."""
    location = body.get("location")
    return [_of_location(it) for it in (location if isinstance(location, list) else [location])]


def _of_location(location: object) -> Position:
    it = _object(location)
    coords, battery = _object(it.get("coords")), _object(it.get("battery"))
    return _position(
        t=_time(it.get("timestamp")),
        lat=coords.get("latitude"),
        lon=coords.get("longitude"),
        acc_m=_more_than_nothing(_known(coords.get("accuracy"))),
        speed_mps=_known(coords.get("speed")),
        bearing_deg=_known(coords.get("heading")),
        battery_pct=_times(_known(battery.get("level")), Fraction(100)),
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _position(**fields: object) -> Position:
    return {name: value for name, value in fields.items() if value is not None}


def _number(text: str | None) -> object:
    """Return the number that a text is, else the text."""
    return float(text) if text is not None and NUMBER.fullmatch(text) else text


def _as_number(value: object) -> float | None:
    """Return a value if it is a number of which more can be said: JSON's may be longer than any float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def _known(value: object) -> object:
    """Return a value, but for a number below 0: that says that nothing is known."""
    number = _as_number(value)
    return None if number is not None and number < 0 else value


def _more_than_nothing(value: object) -> object:
    return None if _as_number(value) == 0 else value


def _times(value: object, factor: Fraction) -> object:
    """Return a number times a factor, rounded once; anything else as it is."""
    number = _as_number(value)
    if number is None or abs(number) > 1e300:
        return value
    return float(Fraction(repr(number)) * factor)


def _time(value: object) -> object:
    """Return a time as ms since 1970 UTC; what is none as it is."""
    if isinstance(value, str):
        return _of_number(Fraction(value)) if NUMBER.fullmatch(value) else _of_date(value)
    number = _as_number(value)
    return value if number is None else _of_number(Fraction(repr(number)))


def _of_number(number: Fraction) -> int:
    return int(number * 1_000 if abs(number) < SECONDS_BELOW else number)


def _of_date(text: str) -> object:
    try:
        moment = datetime.fromisoformat(text.strip())
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (zoned - EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return text


def is_for_us(body: bytes) -> bool:
    """Return whether an OwnTracks message says something that is read here, or cannot be read at all.

    An empty one says that a friend is gone (owntracks.org/booklet, tech/http).
    """
    if not body.strip():
        return False
    try:
        return msgspec.json.decode(body, type=_Typed).kind not in NOT_FOR_US
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True


class _Typed(msgspec.Struct, rename={"kind": "_type"}):
    kind: str
