"""GPS fixes as columns: of many vans on their way into the table, and of many vans to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

#: Ignition in a column: off, on, or not told.
IGNITION_OFF: Final = 0
IGNITION_ON: Final = 1
IGNITION_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class FixColumns:
    """Fixes of many vans, as columns of shape (n,), one row a key, in the order (van_id, t_ms).

    Missing reals are NaN, missing ignition -1.
    """

    van_id: npt.NDArray[np.int32]
    t_ms: npt.NDArray[np.int64]
    latitude_deg: npt.NDArray[np.float64]
    longitude_deg: npt.NDArray[np.float64]
    horizontal_accuracy_m: npt.NDArray[np.float32]
    speed_mps: npt.NDArray[np.float32]
    bearing_deg: npt.NDArray[np.float32]
    ignition: npt.NDArray[np.int16]
    odometer_m: npt.NDArray[np.float64]
    battery_pct: npt.NDArray[np.float32]
    payload_hash: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.t_ms)

    def where(self, kept: Bools | Indices) -> "FixColumns":
        """Return the rows for which `kept` holds, or those that it names."""
        return FixColumns(*(getattr(self, name)[kept] for name in self.__slots__))

    def by_van(self) -> list[tuple[int, int, int]]:
        """Return each van, with where its rows begin and end."""
        vans, starts = np.unique(self.van_id, return_index=True)
        bounds = np.append(starts, len(self)).tolist()
        return list(zip(vans.tolist(), bounds[:-1], bounds[1:], strict=True))

    def track(self, first: int, end: int) -> "Fixes":
        """Return the rows from `first` up to `end`, which are of one van, to be read."""
        return Fixes(
            self.t_ms[first:end],
            self.latitude_deg[first:end],
            self.longitude_deg[first:end],
            self.horizontal_accuracy_m[first:end].astype(np.float64),
            self.ignition[first:end].astype(np.int8),
            self.odometer_m[first:end],
        )


class Fixes(msgspec.Struct, frozen=True):
    """Fixes of one van in the order of time, as columns of shape (n,).

    Attributes:
        t_ms: int64, ms since 1970 UTC, strictly increasing.
        latitude_deg: float64, WGS 84.
        longitude_deg: float64, WGS 84.
        accuracy_m: float64, NaN where unknown.
        ignition: int8, 0 off, 1 on, -1 not told.
        odometer_m: float64, NaN where unknown.
    """

    t_ms: Longs
    latitude_deg: Floats
    longitude_deg: Floats
    accuracy_m: Floats
    ignition: npt.NDArray[np.int8]
    odometer_m: Floats

    def __len__(self) -> int:
        return len(self.t_ms)

    def rows(self, part: slice | Indices | Bools) -> "Fixes":
        """Return some of the fixes."""
        return of_columns([column[part] for column in self.columns()])

    def columns(self) -> tuple[npt.NDArray[np.generic], ...]:
        """Return the columns in the order of the fields."""
        return (
            self.t_ms, self.latitude_deg, self.longitude_deg, self.accuracy_m, self.ignition,
            self.odometer_m,
        )  # fmt: skip


def of_columns(columns: Sequence[npt.NDArray[Any]]) -> Fixes:
    """Return fixes from columns in the order of the fields."""
    t_ms, latitude_deg, longitude_deg, accuracy_m, ignition, odometer_m = columns
    return Fixes(t_ms, latitude_deg, longitude_deg, accuracy_m, ignition, odometer_m)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Fixes of several vans, one van after the other.

    Attributes:
        fixes: All of them; each van's in the order of time.
        starts: Where each van's begin, and where the last one's end; shape (vans + 1,).
    """

    fixes: Fixes
    starts: Indices

    @classmethod
    def of(cls, tracks: Sequence[Fixes]) -> Self:
        """Return the tracks of several vans as one."""
        starts = np.zeros(len(tracks) + 1, dtype=np.intp)
        np.cumsum([len(track) for track in tracks], out=starts[1:])
        if len(tracks) == 1:
            return cls(tracks[0], starts)
        columns = zip(*(track.columns() for track in tracks), strict=True)
        return cls(of_columns([np.concatenate(column) for column in columns]), starts)

    @property
    def van(self) -> Indices:
        """Which van each fix is of: an index, shape (fixes,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def where(self, kept: Bools) -> Self:
        """Return the fixes for which `kept` holds, each still with its van."""
        before = np.concatenate([[0], np.cumsum(kept)])
        return type(self)(self.fixes.rows(kept), before[self.starts])


class Fix(msgspec.Struct, frozen=True, array_like=True):
    """One fix, where it has to be remembered. The odometer is None where unknown."""

    t_ms: int
    latitude_deg: float
    longitude_deg: float
    ignition: int = IGNITION_UNKNOWN
    odometer_m: float | None = None
