"""Named places at which a process can be made to die, for the faults campaign.

The moments that matter last microseconds: after the commit and before the acknowledgement, after the
publishing and before the mark. No kill from outside hits them often enough. `CORDEE_FAULT_POINT`
names one and says at which passing the process dies, with -9, as a lost machine would. Unset, what a
caller holds is a function that does nothing.
"""

import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Final

POINTS: Final = ("commit-ack", "publish-mark")


def unset() -> None:
    """Do nothing."""


def at(name: str, setting: str) -> Callable[[], None]:
    """Return what to call at the point of that name.

    Args:
        name: One of `POINTS`.
        setting: `NAME:COUNT`, or empty.

    Raises:
        ValueError: The setting names no point, or no count.
    """
    if not setting:
        return unset
    point, _, times = setting.partition(":")
    if point not in POINTS or not times.isdecimal() or int(times) < 1:
        raise ValueError(
            f"CORDEE_FAULT_POINT is {setting!r}: give {' or '.join(POINTS)}, a colon and a count"
            " from 1, or leave it empty"
        )
    if point != name:
        return unset
    passed = count(1)

    def die() -> None:
        if next(passed) == int(times):
            os.kill(os.getpid(), signal.SIGKILL)

    return die
