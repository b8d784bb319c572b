"""All that is stored about one technician, as files that a person can read (GDPR, article 15).

What is about whom is said by the schema: a row is about a technician if it refers to them, or to the van
that they drive now, its stock location, or its device. `ABOUT` says for each table with such a reference how
its rows are found, `NOT_ABOUT` why they are not about a person; a test holds both against the schema, so
that a new table cannot be forgotten.

Who drove a van before is not stored, so what is given out is of the van's present driver: whoever is given
it should look at when the van became theirs. Rows are given as they are, without other people's names.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from storage.retention import PURPOSES, TABLES
from storage.settings import Settings
from storage.spreadsheet import cell

BY_VAN: Final = "van_id = ANY(%(vans)s)"
BY_DEVICE: Final = "device = ANY(%(devices)s)"
BY_PLACE: Final = "location_id = ANY(%(places)s)"
BY_TECHNICIAN: Final = "technician_id = %(technician)s"
OF_TOURS: Final = "tour_id IN (SELECT tour_id FROM tour WHERE van_id = ANY(%(vans)s))"
OF_STOPS: Final = f"stop_id IN (SELECT stop_id FROM stop WHERE {OF_TOURS})"
OF_ALERTS: Final = "handling_id IN (SELECT handling_id FROM alert WHERE van_id = ANY(%(vans)s))"
BETWEEN_PLACES: Final = "from_location_id = ANY(%(places)s) OR to_location_id = ANY(%(places)s)"

#: How the rows about a technician are found in each table, in the order of the readme.
ABOUT: Final[dict[str, LiteralString]] = {
    "technician": BY_TECHNICIAN,
    "app_user": BY_TECHNICIAN,
    "van": BY_TECHNICIAN,
    "location": BY_PLACE,
    "duty_switch": BY_VAN,
    "working_calendar": BY_VAN,
    "off_duty": BY_VAN,
    "van_status": BY_VAN,
    "van_position": BY_VAN,
    "fix": BY_VAN,
    "unusable_fix": BY_VAN,
    "leg": BY_VAN,
    "van_progress": BY_VAN,
    "van_checkpoint": BY_VAN,
    "visit": BY_VAN,
    "tour": BY_VAN,
    "stop": OF_TOURS,
    "eta": OF_STOPS,
    "alert": BY_VAN,
    "alert_handling": OF_ALERTS,
    "alert_action": OF_ALERTS,
    "scan": BY_VAN,
    "scan_unusable": BY_DEVICE,
    "movement": BY_DEVICE,
    "reversal": BY_DEVICE,
    "count_line": BY_DEVICE,
    "full_count": BY_DEVICE,
    "missing_part": BY_DEVICE,
    "box_scan": BY_DEVICE,
    "count_task": BY_PLACE,
    "policy_exception": BY_PLACE,
    "transfer": BETWEEN_PLACES,
    "resupply_order": BY_PLACE,
    "usage_history": BY_VAN,
    "rejected": "van_code = ANY(%(devices)s)",
    "access_log": BY_TECHNICIAN,
    "user_session": f"user_id IN (SELECT user_id FROM app_user WHERE {BY_TECHNICIAN})",
    "broker_credential": BY_VAN,
}

#: Tables with such a reference whose rows say nothing of a person, and why.
NOT_ABOUT: Final = {
    "posting": "two lines of bookkeeping for each movement, which is given",
    "level": "what lies in the van, counted up from movements and counts, which are given",
    "need": "what the van's jobs need, made from stops, which are given",
    "proposal": "what should be ordered for the van, made from levels and needs",
    "resupply_line": "parts on an order of the van, which is given",
    "replan": "tours of a day as they were before and after an edit, another van's too; tours are given",
    "stop_part": "parts that the job of a stop needs; the stop is given",
    "stock_dirty": "pairs of place and part that are to be computed anew, for seconds",
    "scan_through": "how far a tablet's scans are committed, which the scans say",
    "tour_edit": "days that are to be matched anew, for seconds",
    "duty_edit": "vans whose calendar is to be applied, for seconds",
}

#: Columns that are never given: secrets.
SECRET: Final = frozenset({"password_hash", "token_hash", "bcrypt_hash", "pbkdf2_hash"})

WHAT: Final = {
    "technician": "who you are to the system, and where parts are delivered at home",
    "van": "the van that you drive",
    "duty_switch": "when the switch on your tablet said on or off",
    "off_duty": "how many positions came off duty, by day; the positions were not kept",
    "fix": "positions of your van while on duty",
    "leg": "trips and halts made from positions",
    "visit": "when your van was at which site",
    "tour": "your planned days",
    "stop": "your planned visits",
    "alert": "what planners were told of delays and silences",
    "alert_handling": "what planners noted about them",
    "scan": "what was scanned with your tablet, as it came",
    "movement": "which parts your scans moved",
    "rejected": "messages of your van that could not be used",
    "access_log": "who looked at where your van is or was",
}


class UnknownPersonError(ValueError):
    """There is no such technician; the message says so."""


@dataclass(frozen=True, slots=True)
class Person:
    """A technician, with all that refers to them."""

    technician: int
    name: str
    vans: list[int]
    devices: list[str]
    places: list[int]


PERSON: Final = """
SELECT technician.technician_id, technician.name,
       coalesce(array_agg(van.van_id) FILTER (WHERE van.van_id IS NOT NULL), '{}'),
       coalesce(array_agg(van.code) FILTER (WHERE van.van_id IS NOT NULL), '{}'),
       ARRAY(SELECT location_id FROM location
             WHERE location.technician_id = technician.technician_id
                OR location.van_id IN (SELECT van_id FROM van AS own
                                       WHERE own.technician_id = technician.technician_id))
FROM technician LEFT JOIN van USING (technician_id)
JOIN organisation ON organisation.organisation_id = technician.organisation_id
WHERE technician.code = %s AND organisation.name = %s
GROUP BY technician.technician_id, technician.name
"""


def export(settings: Settings, code: str, organisation: str, out: Path) -> dict[str, int]:
    """Write all that is stored about a technician to a folder; return rows by table.

    Raises:
        UnknownPersonError: There is no technician of this code.
    """
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)
    with (
        psycopg.connect(settings.database_url, options="-c TimeZone=UTC") as conn,
        conn.transaction(),
    ):
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        person = _find(conn, code, organisation)
        rows = {table: _write(conn, table, where, person, out) for table, where in ABOUT.items()}
    (out / "README.md").write_text("\n".join(readme(person, code, rows, settings)) + "\n")
    return rows


def _find(conn: psycopg.Connection[Any], code: str, organisation: str) -> Person:
    row = conn.execute(PERSON, (code, organisation)).fetchone()
    if row is None:
        raise UnknownPersonError(
            f"There is no technician {code!r} in the organisation {organisation!r}."
        )
    return Person(*row)


def _write(
    conn: psycopg.Connection[Any], table: str, where: LiteralString, person: Person, out: Path
) -> int:
    """Write a table's rows about a person as CSV and as JSON lines; return how many there are."""
    query = sql.SQL("SELECT * FROM {} WHERE ").format(sql.Identifier(table)) + sql.SQL(where)
    values = {
        "technician": person.technician,
        "vans": person.vans,
        "devices": person.devices,
        "places": person.places,
    }
    with conn.cursor(f"export_{table}") as cursor:
        cursor.execute(query, values)
        names = [column.name for column in cursor.description or ()]
        kept = [at for at, name in enumerate(names) if name not in SECRET]
        rows = 0
        with (
            (out / f"{table}.csv").open("w", newline="") as as_csv,
            (out / f"{table}.jsonl").open("w") as as_json,
        ):
            writer = csv.writer(as_csv)
            writer.writerow([names[at] for at in kept])
            for row in cursor:
                cells = {names[at]: _plain(row[at]) for at in kept}
                writer.writerow([cell(value) for value in cells.values()])
                as_json.write(json.dumps(cells, ensure_ascii=False) + "\n")
                rows += 1
    return rows


def _plain(value: object) -> object:
    """Return a value as JSON has it."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return value.decode(errors="backslashreplace")
        case list():
            return [_plain(part) for part in value]
        case None | bool() | int() | float() | str() | dict():
            return value
    return str(value)


def readme(person: Person, code: str, rows: dict[str, int], settings: Settings) -> Iterator[str]:
    """Yield what goes with the files: what they are, what for, and for how long it is kept."""
    purpose_of = {kept.table: purpose for purpose, kept in TABLES}
    yield f"# What is stored about {person.name} ({code})"
    yield ""
    yield f"As of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. Vans: {', '.join(person.devices) or 'none'}."
    yield "Each table is given twice: `.csv` for spreadsheets, `.jsonl` with types. Times are UTC."
    yield "Positions off duty are not stored at all; no score is made of a person."
    yield "What a van did before it was yours may be among it, since who drove it then is not kept."
    yield ""
    yield "| file | rows | what it is | kept for |"
    yield "| --- | --- | --- | --- |"
    for table, count in rows.items():
        purpose = purpose_of.get(table)
        period = (
            f"{purpose.days(settings)} days" if purpose else "as long as the account or the books"
        )
        yield f"| `{table}` | {count} | {WHAT.get(table, '')} | {period} |"
    yield ""
    yield "## Purposes"
    yield ""
    for purpose in PURPOSES:
        yield f"- **{purpose.name}**, {purpose.days(settings)} days. {purpose.words}"
    yield "- **stock**, as long as the company keeps its books. Scans are acts of work: they say which"
    yield "  part went where, and stock is computed from them."
    yield ""
    yield "## Not given, and why"
    yield ""
    for table, why in NOT_ABOUT.items():
        yield f"- `{table}`: {why}."
