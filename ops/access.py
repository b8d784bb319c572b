"""`cordee verify --what access`: who may do what, tried and not argued, part by part.

A part is a function that tries and returns reports by name, each with `tried`, `wrongly_allowed` and
`wrongly_denied`.
"""

from collections.abc import Callable
from typing import Any, Final

from ops import access_mqtt

PARTS: Final[tuple[Callable[[], dict[str, Any]], ...]] = (access_mqtt.run,)
COUNTS: Final = ("tried", "wrongly_allowed", "wrongly_denied")


def run() -> dict[str, Any]:
    """Return all parts' reports, and the sums of their counts.

    Raises:
        ops.embedded.ServerError: A server is missing or did not start.
    """
    reports = {name: report for part in PARTS for name, report in part().items()}
    sums = {count: sum(report[count] for report in reports.values()) for count in COUNTS}
    return {**sums, "parts": reports}
