"""GPS fixes as columns: of many vans on their way into the table, of one van on its way to be read."""

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

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


class Fixes(msgspec.Struct, frozen=True):
    """Fixes of one van in the order of time, as columns of shape (n,).

    Attributes:
        t_ms: int64, ms since 1970 UTC, strictly increasing.
        latitude_deg: float64, WGS 84.
        longitude_deg: float64, WGS 84.
        accuracy_m: float64, NaN where unknown.
        ignition: int8, 0 off, 1 on, -1 not told.
    """

    t_ms: npt.NDArray[np.int64]
    latitude_deg: npt.NDArray[np.float64]
    longitude_deg: npt.NDArray[np.float64]
    accuracy_m: npt.NDArray[np.float64]
    ignition: npt.NDArray[np.int8]


class Fix(msgspec.Struct, frozen=True, array_like=True):
    """One fix, where it has to be remembered."""

    t_ms: int
    latitude_deg: float
    longitude_deg: float
    ignition: int
