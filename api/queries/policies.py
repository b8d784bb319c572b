"""The question what van templates should hold by demand, where they do not. Reads, never commits.

Templates are the installation's, not an organisation's.
"""

from psycopg.rows import class_row

from api.answers import PolicyProposal
from api.times import ms
from storage.pool import Connection


async def proposed(conn: Connection, limit: int, *, template: str | None) -> list[PolicyProposal]:
    """Return up to `limit` proposed lines of templates, those that most is used of first."""
    query = f"""
        SELECT van_template.code AS template, item.ref AS item, item.name, item.base_unit,
               line.reorder_point AS reorder_point_now, line.order_up_to AS order_up_to_now,
               nullif(p.reorder_point, -1) AS reorder_point, p.order_up_to, p.cap,
               p.rate AS units_a_week, p.fill AS fill_share, p.reason, {ms("made_time")} AS made_ms
        FROM policy_proposal AS p
        JOIN van_template USING (template_id)
        JOIN item USING (item_id)
        LEFT JOIN template_line AS line USING (template_id, item_id)
        WHERE (%(template)s::text IS NULL OR van_template.code = %(template)s)
        ORDER BY p.rate DESC, van_template.code, item.ref
        LIMIT %(limit)s
    """
    async with conn.cursor(row_factory=class_row(PolicyProposal)) as cursor:
        await cursor.execute(query, {"template": template, "limit": limit})
        return await cursor.fetchall()
