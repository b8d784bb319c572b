"""The question of who looks for something: what has these words in its code or name, the best first.

What is searched, and what is looked for, is text without accents, case and punctuation (`plain_text`, in
the schema). Each word must be somewhere in it, also inside a word: *dup lyo* finds *Boulangerie Dupont,
Lyon*, and *042* the site *S-00421*; of one or two letters, at the beginning of a word. In the order of
rank, then by code:

| rank | what was typed                                        |
| ---- | ----------------------------------------------------- |
| 0    | is the code                                           |
| 1    | begins the code                                       |
| 2    | begins a word of it, as it was typed                  |
| 3    | is in it somehow                                      |

Items are found by their barcodes too, as they stand on the pack: whole, or from their beginning. Scoped by
organisation and, for technicians, by their vans; reads, never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from psycopg.rows import class_row

from api.answers import FoundItem, FoundOrder, FoundSite, FoundTechnician, FoundVan
from api.auth import OrganisationId
from stock_tracker.barcodes import stored
from storage.pool import Connection

Hit = TypeVar("Hit")

HITS_MAX: Final = 8
WORDS_MAX: Final = 8
#: Shorter words are everywhere, and in no index of three letters.
SHORT: Final = 3
#: Fewer characters are no beginning of a barcode, but of a word.
BARCODE_MIN: Final = 4

RANK: Final = """
CASE WHEN found.search = %(typed)s OR starts_with(found.search, %(typed)s || ' ') THEN 0
     WHEN starts_with(found.search, %(typed)s) THEN 1
     WHEN strpos(found.search, ' ' || %(typed)s) > 0 THEN 2
     ELSE 3 END
"""


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody looks for: as it came, as plain text, and that text's words."""

    raw: str
    typed: str
    words: tuple[str, ...]

    @property
    def where(self) -> str:
        """All words as SQL about `found.search`, each by itself, so that its index can be used."""
        return " AND ".join(
            f"found.search LIKE %(word_{n})s"
            if len(word) >= SHORT
            else f"strpos(' ' || found.search, ' ' || %(word_{n})s) > 0"
            for n, word in enumerate(self.words)
        )

    @property
    def values(self) -> dict[str, object]:
        """What the SQL here needs. Neither % nor _ is left in plain text."""
        words = {
            f"word_{n}": f"%{word}%" if len(word) >= SHORT else word
            for n, word in enumerate(self.words)
        }
        return {"typed": self.typed, "hits": HITS_MAX, **words}


async def words(conn: Connection, typed: str) -> Words | None:
    """Return what somebody looks for; None if nothing is left of it."""
    row = await (await conn.execute("SELECT plain_text(%s)", (typed,))).fetchone()
    plain = str(row[0]) if row else ""
    return Words(typed.strip(), plain, tuple(plain.split(" ")[:WORDS_MAX])) if plain else None


async def vans(
    conn: Connection,
    organisation: OrganisationId,
    sought: Words,
    only: Sequence[str] | None = None,
) -> list[FoundVan]:
    """Return vans by code and name; `only` these, if it is given."""
    query = f"""
        SELECT found.code, found.name, technician.name AS technician
        FROM (SELECT *, plain_text(code || ' ' || name) AS search FROM van) AS found
        LEFT JOIN technician USING (technician_id)
        WHERE found.organisation_id = %(organisation)s AND {sought.where}
          AND (%(only)s::text[] IS NULL OR found.code = ANY(%(only)s))
        ORDER BY {RANK}, found.code LIMIT %(hits)s
    """
    values = {**sought.values, "organisation": organisation, "only": _listed(only)}
    return await _found(conn, FoundVan, query, values)


async def technicians(
    conn: Connection, organisation: OrganisationId, sought: Words
) -> list[FoundTechnician]:
    """Return technicians by code and name, with the first of the vans that they drive."""
    query = f"""
        SELECT found.code, found.name,
               (SELECT min(van.code) FROM van
                WHERE van.technician_id = found.technician_id) AS van
        FROM (SELECT *, plain_text(code || ' ' || name) AS search FROM technician) AS found
        WHERE found.organisation_id = %(organisation)s AND {sought.where}
        ORDER BY {RANK}, found.code LIMIT %(hits)s
    """
    values = {**sought.values, "organisation": organisation}
    return await _found(conn, FoundTechnician, query, values)


async def sites(conn: Connection, organisation: OrganisationId, sought: Words) -> list[FoundSite]:
    """Return sites by code, name and town."""
    query = f"""
        SELECT code, name, town FROM site AS found
        WHERE organisation_id = %(organisation)s AND {sought.where}
        ORDER BY {RANK}, code LIMIT %(hits)s
    """
    return await _found(conn, FoundSite, query, {**sought.values, "organisation": organisation})


async def items(conn: Connection, sought: Words) -> list[FoundItem]:
    """Return items by code and name, and by barcode: those first."""
    query = f"""
        WITH scanned AS (
          SELECT item_id, min(code) AS code FROM barcode
          WHERE length(%(raw)s) >= {BARCODE_MIN}
            AND (code = %(stored)s OR starts_with(code, %(raw)s) OR starts_with(code, %(gtin)s))
          GROUP BY item_id ORDER BY min(code) LIMIT %(hits)s
        ), found AS (
          (SELECT item_id, ref, name, search FROM item AS found WHERE {sought.where}
           ORDER BY {RANK}, ref LIMIT %(hits)s)
          UNION SELECT item_id, ref, name, search FROM item JOIN scanned USING (item_id)
        )
        SELECT ref AS item, name, scanned.code AS barcode
        FROM found LEFT JOIN scanned USING (item_id)
        ORDER BY scanned.code IS NULL, {RANK}, ref LIMIT %(hits)s
    """
    values = {
        **sought.values,
        "raw": sought.raw,
        "stored": stored(sought.raw),
        "gtin": f"0{sought.raw}",
    }
    return await _found(conn, FoundItem, query, values)


async def orders(
    conn: Connection,
    organisation: OrganisationId,
    sought: Words,
    only: Sequence[str] | None = None,
) -> list[FoundOrder]:
    """Return resupply orders by code, the newest first of equals; `only` of these vans, if given."""
    query = f"""
        WITH best AS (
          SELECT *, {RANK} AS rank FROM resupply_order AS found
          WHERE organisation_id = %(organisation)s AND {sought.where}
            AND (%(only)s::text[] IS NULL OR location_id IN (
              SELECT location_id FROM location
              JOIN van ON van.van_id = location.van_id OR van.technician_id = location.technician_id
              WHERE van.code = ANY(%(only)s)))
          ORDER BY rank, cutoff_at DESC, code LIMIT %(hits)s
        )
        SELECT best.code, van.code AS van, best.state
        FROM best
        JOIN location USING (location_id)
        LEFT JOIN LATERAL (
          SELECT code FROM van
          WHERE van.van_id = location.van_id
             OR (location.van_id IS NULL AND van.technician_id = location.technician_id)
          ORDER BY code LIMIT 1
        ) AS van ON true
        ORDER BY rank, best.cutoff_at DESC, best.code
    """
    values = {**sought.values, "organisation": organisation, "only": _listed(only)}
    return await _found(conn, FoundOrder, query, values)


def _listed(only: Sequence[str] | None) -> list[str] | None:
    return None if only is None else list(only)


async def _found(
    conn: Connection, shape: type[Hit], query: str, values: dict[str, Any]
) -> list[Hit]:
    async with conn.cursor(row_factory=class_row(shape)) as cursor:
        await cursor.execute(query.encode(), values)
        return await cursor.fetchall()
