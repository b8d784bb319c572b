"""What is kept for how long, and the proof that the rest is gone. Reads, never commits."""

from api import answers
from api.times import ms
from storage.pool import Connection
from storage.retention import PURPOSES, limit
from storage.settings import Settings, as_datetime, as_ms


async def of_installation(conn: Connection, settings: Settings, now_ms: int) -> answers.Retention:
    """Return each purpose with its period, its tables, and what was deleted of them last."""
    query = f"""
        SELECT DISTINCT ON (table_name)
               table_name, began_on::text, rows_deleted, {ms("oldest_left")}, done
        FROM deletion ORDER BY table_name, began_on DESC
    """
    rows = await (await conn.execute(query.encode())).fetchall()
    known = {row[0]: answers.Deleted(*row) for row in rows}
    now = as_datetime(now_ms)
    return answers.Retention(
        [
            answers.Purpose(
                purpose.name,
                purpose.words,
                purpose.days(settings),
                as_ms(limit(purpose, settings, now)),
                [
                    known.get(kept.table, answers.Deleted(kept.table, None, 0, None, done=False))
                    for kept in purpose.tables
                ],
            )
            for purpose in PURPOSES
        ]
    )
