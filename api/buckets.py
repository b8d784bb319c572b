"""How often somebody may ask: a bucket of tokens each, which fills again by itself. Pure.

A bucket lets a burst through, such as the backlog of an hour without a network, and a steady rate after
that. Buckets that are full again are forgotten, so that there are never more than somebody has lately
taken from.
"""

from dataclasses import dataclass, field

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
