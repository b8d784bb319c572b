"""How often somebody may ask: a bucket of tokens each, which fills again by itself. Pure.

A bucket lets a burst through, such as the backlog of an hour without a network, and a steady rate after
that. Buckets that are full again are forgotten, so that there are never more than somebody has lately
taken from.

What is refused and tried again unchanged is no new attempt: `Recent` remembers it for a while, so that it
takes no token that others at the same address need.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

#: So many keys are remembered at most.
RECENT_MAX = 10_000
#: From this many on, full buckets are looked for and dropped.
SWEEP_FROM = 1_000


@dataclass(slots=True)
class Limit:
    """Buckets by key, each of `burst` tokens, filled by `rate_per_s`."""

    rate_per_s: float
    burst: float
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait_s(self, key: str, now_s: float) -> float:
        """Return how long until there is a token; 0.0 if there is one now."""
        return max(0.0, (1.0 - self._level(key, now_s)) / self.rate_per_s)

    def take(self, key: str, now_s: float) -> float:
        """Take a token and return 0.0, or return how long to wait for one."""
        wait_s = self.wait_s(key, now_s)
        if wait_s == 0.0:
            if len(self._buckets) >= SWEEP_FROM:
                self._sweep(now_s)
            self._buckets[key] = self._level(key, now_s) - 1.0, now_s
        return wait_s

    def _level(self, key: str, now_s: float) -> float:
        left, since_s = self._buckets.get(key, (self.burst, now_s))
        return min(self.burst, left + (now_s - since_s) * self.rate_per_s)

    def _sweep(self, now_s: float) -> None:
        self._buckets = {
            key: it for key, it in self._buckets.items() if self._level(key, now_s) < self.burst
        }


@dataclass(slots=True)
class Recent:
    """Keys that were seen within the last `keep_s`; of more than `most`, those seen last."""

    keep_s: float
    most: int = RECENT_MAX
    _seen: dict[Hashable, float] = field(default_factory=dict)

    def has(self, key: Hashable, now_s: float) -> bool:
        """Return whether a key was seen lately."""
        since_s = self._seen.get(key)
        return since_s is not None and now_s - since_s < self.keep_s

    def add(self, key: Hashable, now_s: float) -> None:
        """Remember a key; time goes on from call to call, so the oldest stand first."""
        self._seen.pop(key, None)
        while self._seen:
            oldest = next(iter(self._seen))
            if len(self._seen) < self.most and self.has(oldest, now_s):
                break
            del self._seen[oldest]
        self._seen[key] = now_s
