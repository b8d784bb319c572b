"""A day's fixes as the messages that vans send: one by one, or in arrays after a time offline. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ingest.messages import Position
from simulators.vans import Fixes

#: Positions of one array: 70 kB.
ARRAY: Final = 500

Tracks = Sequence[tuple[str, Fixes]]
"""Each van's code, and its fixes."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and how many fixes it has; `t_ms` is the time of its first one, since 1970 UTC."""

    van: str
    t_ms: int
    fixes: int
    payload: bytes

    @property
    def packet(self) -> tuple[str, bytes]:
        """Topic and payload."""
        return f"fleet/v1/{self.van}/position", self.payload


def singles(tracks: Tracks, most: int | None = None) -> list[Message]:
    """Return every fix as a message, by time; at most so many."""
    rows = [
        (t_ms, nth, i)
        for nth, (_, fixes) in enumerate(tracks)
        for i, t_ms in enumerate(fixes.t_ms.tolist())
    ]
    rows.sort()
    return [
        Message(van, t_ms, 1, msgspec.json.encode(_position(fixes, i)))
        for t_ms, (van, fixes), i in ((t_ms, tracks[nth], i) for t_ms, nth, i in rows[:most])
    ]


def arrays_by_van(tracks: Tracks) -> Iterator[list[Message]]:
    """Return each van's fixes as arrays, by time."""
    for van, fixes in tracks:
        count = len(fixes.t_ms)
        positions = [_position(fixes, i) for i in range(count)]
        yield [
            Message(
                van,
                positions[first].t,
                min(ARRAY, count - first),
                msgspec.json.encode(positions[first : first + ARRAY]),
            )
            for first in range(0, count, ARRAY)
        ]


def _position(fixes: Fixes, i: int) -> Position:
    return Position(
        t=int(fixes.t_ms[i]),
        lat=round(float(fixes.latitude_deg[i]), 7),
        lon=round(float(fixes.longitude_deg[i]), 7),
        acc_m=5.0,
        speed_mps=round(float(fixes.speed_mps[i]), 1),
        bearing_deg=round(float(fixes.bearing_deg[i]), 1) % 360,
        ignition=bool(fixes.ignition[i]),
        odometer_m=round(float(fixes.odometer_m[i])),
    )
