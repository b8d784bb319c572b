"""`cordee verify --what access`: who may do what, tried and not argued, part by part.

A part is a function that tries and returns reports by name, each with `tried` and those counts of
`WRONG` that it knows.
"""

from collections.abc import Callable
from typing import Any, Final

from ops.access import http, mqtt

PARTS: Final[tuple[Callable[[], dict[str, Any]], ...]] = (mqtt.run, http.run)
#: Counts that must be 0: `wrongly_shown` are rows of others in an answer, `failed` answers that are
#: none, `untried` routes that nobody has tried.
WRONG: Final = ("wrongly_allowed", "wrongly_denied", "wrongly_shown", "failed", "untried")


def run() -> dict[str, Any]:
    """Return all parts' reports, and the sums of their counts.

    Raises:
        ops.embedded.ServerError: A server is missing or did not start.
    """
    reports = {name: report for part in PARTS for name, report in part().items()}
    sums = {
        count: sum(report.get(count, 0) for report in reports.values())
        for count in ("tried", *WRONG)
    }
    return {**sums, "parts": reports}
