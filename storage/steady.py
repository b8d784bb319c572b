"""A clock that is not led astray by a machine's clock that is set back.

Vans tell the time by GPS, and what claims to be more than two minutes ahead of us is refused. A
machine's clock that is set back by an hour (a virtual machine restored, a time server gone mad) would
therefore refuse the whole fleet for an hour. So time here is what has elapsed since the process
started (a count that no one sets, and that sleeps with the machine) plus an offset to the machine's
clock:

| the machine's clock                              | what is done                                  |
| ------------------------------------------------ | --------------------------------------------- |
| differs by up to a minute                        | followed: time servers do that                |
| is set forwards by more                          | followed; what was before is remembered       |
| is set back to what was before a step forwards   | followed: the step was the mistake            |
| is set back otherwise                            | not followed, until it agrees or a restart    |

It must not know whose clock it reads: both are given to it.
"""

from collections.abc import Callable
from typing import Final

#: Half of what a fix may be ahead of us.
FOLLOWED_MS: Final = 60_000


class SteadyClock:
    """Milliseconds since 1970 UTC; see the table above."""

    def __init__(self, wall: Callable[[], int], elapsed: Callable[[], int]) -> None:
        """Begin by trusting the machine.

        Args:
            wall: The machine's clock, ms since 1970 UTC.
            elapsed: Ms since any moment; never set, never stands still.
        """
        self._wall, self._elapsed = wall, elapsed
        self._offsets = [wall() - elapsed()]

    def __call__(self) -> int:
        """Return the present."""
        elapsed = self._elapsed()
        self._look(self._wall() - elapsed)
        return elapsed + self._offsets[-1]

    @property
    def set_back_ms(self) -> int:
        """How far the machine's clock is behind this one; 0 where it is followed."""
        return max(0, self._offsets[-1] - (self._wall() - self._elapsed()))

    def _look(self, offset: int) -> None:
        """Follow the machine's clock, or not."""
        if offset > self._offsets[-1] + FOLLOWED_MS:
            self._offsets.append(offset)
            return
        known = [i for i, other in enumerate(self._offsets) if abs(other - offset) <= FOLLOWED_MS]
        if known:
            del self._offsets[known[-1] + 1 :]
            self._offsets[-1] = offset
