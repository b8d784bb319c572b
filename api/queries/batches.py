"""The questions of a tablet that has sent a batch: what became of it. Reads, never commits."""

from collections.abc import Collection, Sequence
from typing import Final

from psycopg.rows import TupleRow

from api.batches import Found, Key, Packed
from storage.pool import Connection

REJECTED: Final = (
    "SELECT rejected_id, reason, detail FROM rejected WHERE rejected_id = ANY(%b::bytea[])"
)
KEYS: Final = "unnest(%s::text[], %s::bigint[]) AS asked (epoch, seq)"
UNUSABLE: Final = (
    f"SELECT epoch, seq FROM scan_unusable JOIN {KEYS} USING (epoch, seq) WHERE device = %s"
)
#: By kind: each key that is stored, and whether it has two payloads.
STORED: Final = {
    "scan": f"""
      SELECT epoch, seq, bool_or(status = 'conflict') FROM scan JOIN {KEYS} USING (epoch, seq)
      WHERE device = %s GROUP BY epoch, seq
    """,
    "report": f"""
      SELECT epoch, seq, count(*) > 1 FROM visit_report JOIN {KEYS} USING (epoch, seq)
      WHERE device = %s GROUP BY epoch, seq
    """,
    "message": f"""
      SELECT epoch, seq, count(*) > 1 FROM van_message JOIN {KEYS} USING (epoch, seq)
      WHERE device = %s GROUP BY epoch, seq
    """,
}
THROUGH: Final = "SELECT epoch, through FROM scan_through WHERE device = %s AND epoch = ANY(%s)"


async def became(conn: Connection, van: str, packed: Packed) -> Found:
    """Return what the tables say of a batch's events."""
    ids = [event.id for event in packed.sent]
    rows = await (await conn.execute(REJECTED, (ids,))).fetchall()
    stored: dict[str, set[Key]] = {}
    contested: dict[str, set[Key]] = {}
    unusable: set[Key] = set()
    for kind, keys in packed.keys().items():
        found = await _of_keys(conn, STORED[kind], van, keys)
        stored[kind] = {(epoch, seq) for epoch, seq, _ in found}
        contested[kind] = {(epoch, seq) for epoch, seq, is_contested in found if is_contested}
        unusable |= {(epoch, seq) for epoch, seq in await _of_keys(conn, UNUSABLE, van, keys)}
    rejected = {bytes(each): (reason, detail) for each, reason, detail in rows}
    return Found(rejected, stored, contested, unusable)


async def _of_keys(conn: Connection, query: str, van: str, keys: Sequence[Key]) -> list[TupleRow]:
    columns = ([epoch for epoch, _ in keys], [seq for _, seq in keys])
    return await (await conn.execute(query, (*columns, van))).fetchall()


async def through(conn: Connection, van: str, epochs: Collection[str]) -> dict[str, int]:
    """Return, by epoch, up to which seq everything is committed."""
    rows = await (await conn.execute(THROUGH, (van, sorted(epochs)))).fetchall()
    return dict.fromkeys(epochs, 0) | dict(rows)
