"""What a demo's tables hold, beside what really happened: the end of `cordee demo --report`.

A module of its own, since it needs half of the API and of the simulator, and most demos end without it.
"""

import asyncio
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from ops.report import read_tables, stock_figures
from ops.services import Services
from simulators.truth import Report, compare
from simulators.truth_file import read_truth
from storage.settings import as_datetime

#: After the last message, how long the tables may take to hold it: a killed ingest's messages come
#: again after the broker's 30 s.
DRAIN_S_MAX = 90.0


def caught_up(
    services: Services, truth_file: Path, began: datetime, until_ms: int
) -> dict[str, Any]:
    """Return the comparison and the figures of stock, once the tables hold all up to `until_ms`."""
    told = asdict(_compared(services, truth_file, until_ms))
    stock = stock_figures(services.settings.database_url, began, as_datetime(until_ms))
    return told | {"stock": asyncio.run(stock)}


def _compared(services: Services, truth_file: Path, until_ms: int) -> Report:
    """Return the comparison once nothing is missing, or when waiting longer helps nobody."""
    truth = read_truth(truth_file, until_ms)
    deadline = time.monotonic() + DRAIN_S_MAX
    while True:
        services.keep_alive()
        report = compare(truth, read_tables(services.settings.database_url), until_ms)
        if report.missing == 0 or time.monotonic() > deadline:
            return report
        time.sleep(1)
