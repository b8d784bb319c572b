"""The question of what operators did. Scoped by organisation; reads, never commits."""

from dataclasses import asdict, dataclass
from datetime import datetime

from api.answers import OperatorAction, OperatorActionKind
from api.auth import OrganisationId
from api.queries.asked import Asked
from api.times import ms


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which actions are asked for; None leaves a question open. `since` ≤ time < `until`."""

    action: OperatorActionKind | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


def asked(organisation: OrganisationId, which: AuditFilter, limit: int) -> Asked[OperatorAction]:
    """Ask for the newest `limit` actions that the filter lets through."""
    query = f"""
        SELECT action_id, {ms("acted_time")} AS at_ms, actor AS who, actor_name AS name,
               actor_role AS role, action, subject, detail
        FROM operator_action
        WHERE organisation_id = %(organisation)s
          AND (%(action)s::text IS NULL OR action = %(action)s)
          AND (%(since)s::timestamptz IS NULL OR acted_time >= %(since)s)
          AND (%(until)s::timestamptz IS NULL OR acted_time < %(until)s)
          AND (%(before)s::bigint IS NULL OR action_id < %(before)s)
        ORDER BY action_id DESC
        LIMIT %(limit)s
    """
    values = {**asdict(which), "organisation": organisation, "limit": limit}
    return Asked(OperatorAction, query, values)
