"""What is kept for how long, and what for: one table, from which deletion, pages and checks are made.

A purpose (CNIL, délibération 2015-165: two months for positions, a year for proofs that a service was
rendered, five years for working times) has a setting, whose description says it in words, and tables
with the column that says how old a row is. Deletion runs once a day (`ingest/retention.py`): what is
older than midnight UTC that many days back goes, so that nothing gets older than the setting says.

Pure: it knows no database.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, LiteralString

from storage.settings import Settings


@dataclass(frozen=True, slots=True)
class Kept:
    """A table whose rows go when they are old.

    Attributes:
        table: Its name.
        since: The column that says how old a row is: a timestamp, or a date.
        when: What else must be true of a row, in SQL; `%(limit)s` is the limit.
    """

    table: str
    since: str
    when: LiteralString = "true"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What some tables are kept for."""

    name: str
    setting: str
    tables: tuple[Kept, ...]

    @property
    def words(self) -> str:
        """What it is for."""
        return str(Settings.model_fields[self.setting].description)

    def days(self, settings: Settings) -> int:
        """For how long it is kept."""
        return int(getattr(settings, self.setting))


#: In the order of deletion.
PURPOSES: Final = (
    Purpose(
        "tracks",
        "keep_tracks_days",
        (
            Kept("fix", "fix_time"),
            Kept("unusable_fix", "fix_time"),
            Kept("leg", "started_at", "ended_at < %(limit)s"),
            Kept("van_position", "fix_time"),
            Kept("off_duty", "day"),
        ),
    ),
    Purpose(
        "visits",
        "keep_visits_days",
        (
            Kept("alert", "raised_time"),
            Kept("alert_handling", "changed_time"),
            Kept("visit", "arrived_at", "last_inside_at < %(limit)s"),
            Kept("tour", "service_date"),
            Kept("replan", "service_date"),
        ),
    ),
    Purpose("working_times", "keep_working_times_days", (Kept("duty_switch", "switched_at"),)),
    Purpose(
        "rejected",
        "keep_rejected_days",
        (Kept("rejected", "received_time"), Kept("rejected_quota", "day")),
    ),
    Purpose(
        "access_log",
        "keep_access_log_days",
        (Kept("access_log", "hour"), Kept("operator_action", "acted_time")),
    ),
)

TABLES: Final = tuple((purpose, kept) for purpose in PURPOSES for kept in purpose.tables)


def limit(purpose: Purpose, settings: Settings, now: datetime) -> datetime:
    """Return the moment before which rows go: midnight UTC, so that a day is wholly there or gone."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=purpose.days(settings) - 1)
