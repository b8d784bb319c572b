"""Who may use which route: one table, and nothing else decides it. Pure.

A rule is a role's right to ask a route at all. What rows it is then shown is another question,
answered where they are read: everybody sees one organisation, a technician the own van (`Who.vans`),
a client the own sites (`Who.client_id`). Rows out of reach are not found (404), a route out of reach
is forbidden (403).

| role       | is                                                                                 |
| ---------- | ---------------------------------------------------------------------------------- |
| planner    | plans tours, answers alerts: sees where vans are, in one organisation              |
| warehouse  | picks, ships and counts: sees stock, orders and papers, and no positions           |
| technician | drives: sees the own van, its tour, stock and orders, and who looked at it         |
| client     | is visited: sees planning, arrival times and visit reports of the own sites        |
| ops        | keeps it running: sees metrics, rejected messages, webhooks, and no positions      |
| admin      | all of that but what is a technician's or nobody's own                             |

A route without a rule is refused, whoever asks (`api/doorkeeper.py`), and fails a test.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Role = Literal["planner", "warehouse", "technician", "client", "ops", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

#: Whoever is signed in, and anybody at all.
SIGNED_IN: Final = frozenset(ROLES)
PUBLIC: Final[frozenset[Role]] = frozenset()
#: Those who plan, and so answer for alerts.
PLAN: Final = frozenset[Role]({"planner", "admin"})
_OWN_VAN: Final = frozenset[Role]({"planner", "technician", "admin"})
_STOCK: Final = frozenset[Role]({"planner", "warehouse", "admin"})
_OWN_STOCK: Final = frozenset[Role]({"planner", "warehouse", "technician", "admin"})
_SHELVES: Final = frozenset[Role]({"warehouse", "admin"})
_SITES: Final = frozenset[Role]({"planner", "client", "admin"})
_OPERATE: Final = frozenset[Role]({"ops", "admin"})
_SCANS: Final = frozenset[Role]({"planner", "warehouse", "ops", "admin"})
_PAGE: Final = frozenset[Role]({"planner", "warehouse", "technician", "ops", "admin"})
_DRIVER: Final = frozenset[Role]({"technician"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Which roles may ask a route; `public` asks for no sign-in."""

    method: str
    template: str
    roles: frozenset[Role]

    @property
    def public(self) -> bool:
        """Whether nobody has to be signed in."""
        return self.roles is PUBLIC


_TABLE: Final = (
    # The installation.
    Rule("GET", "/healthz", PUBLIC),
    Rule("GET", "/readyz", PUBLIC),
    Rule("GET", "/metrics", _OPERATE),
    Rule("GET", "/v1/openapi.json", SIGNED_IN),
    Rule("GET", "/van/precache.js", PUBLIC),
    # Signing in and out.
    Rule("POST", "/v1/session", PUBLIC),
    Rule("GET", "/v1/session", SIGNED_IN),
    Rule("DELETE", "/v1/session", SIGNED_IN),
    Rule("GET", "/v1/session/ways", PUBLIC),
    Rule("GET", "/v1/session/oidc", PUBLIC),
    Rule("GET", "/v1/session/oidc/callback", PUBLIC),
    Rule("POST", "/v1/token", PUBLIC),
    # Oneself.
    Rule("PUT", "/v1/me/password", SIGNED_IN),
    Rule("DELETE", "/v1/me/sessions", SIGNED_IN),
    Rule("GET", "/v1/me/access-log", _DRIVER),
    Rule("GET", "/v1/me/day", _DRIVER),
    Rule("GET", "/v1/catalogue", _OWN_STOCK),
    Rule("GET", "/v1/retention", SIGNED_IN),
    # The tablet.
    Rule("POST", "/v1/devices/{van}/events:batch", _DRIVER),
    Rule("GET", "/v1/messages", _OWN_STOCK),
    Rule("POST", "/v1/messages", _OWN_STOCK),
    Rule("POST", "/v1/messages/{id}/read", _OWN_STOCK),
    # For devices, which prove themselves by their own credentials (api/routes/ingress.py).
    Rule("POST", "/v1/ingress/owntracks", PUBLIC),
    Rule("GET", "/v1/ingress/osmand", PUBLIC),
    Rule("POST", "/v1/ingress/osmand", PUBLIC),
    # Where vans are and were.
    Rule("GET", "/v1/vans", _OWN_VAN),
    Rule("GET", "/v1/vans/{van}", _OWN_VAN),
    Rule("GET", "/v1/vans/{van}/track", _OWN_VAN),
    Rule("GET", "/v1/vans/{van}/legs", _OWN_VAN),
    Rule("GET", "/v1/vans/{van}/visits", _OWN_VAN),
    Rule("GET", "/v1/vans/{van}/tour", _OWN_VAN),
    Rule("GET", "/v1/visits", _OWN_VAN),
    Rule("GET", "/v1/alerts", _OWN_VAN),
    Rule("GET", "/v1/alerts/{alert_id}", _OWN_VAN),
    Rule("PATCH", "/v1/alerts/{alert_id}", PLAN),
    Rule("GET", "/v1/people", PLAN),
    Rule("GET", "/v1/tours", PLAN),
    Rule("GET", "/v1/fixes/unusable", frozenset({"planner", "ops", "admin"})),
    # The page.
    Rule("GET", "/v1/map", SIGNED_IN),
    Rule("GET", "/v1/map/tiles.pmtiles", SIGNED_IN),
    Rule("GET", "/v1/live", _PAGE),
    Rule("GET", "/v1/search", _PAGE),
    Rule("GET", "/v1/overview", frozenset({"planner", "warehouse", "ops", "admin"})),
    # Plans.
    Rule("PUT", "/v1/tours/{code}", PLAN),
    Rule("PUT", "/v1/sites/{code}", PLAN),
    Rule("GET", "/v1/sites/{code}", PLAN),
    Rule("GET", "/v1/fences", PLAN),
    Rule("GET", "/v1/stops/{stop_id}/proposals", PLAN),
    Rule("GET", "/v1/replans", PLAN),
    Rule("POST", "/v1/replans", PLAN),
    Rule("POST", "/v1/replans/{replan_id}/undo", PLAN),
    # Of sites, for those who are visited.
    Rule("GET", "/v1/planning", _SITES),
    Rule("GET", "/v1/visit-reports", _SITES),
    Rule("GET", "/v1/visit-reports/{report}.pdf", _SITES),
    # Stock.
    Rule("GET", "/v1/vans/{van}/stock", _OWN_STOCK),
    Rule("GET", "/v1/stock/figures", _OWN_STOCK),
    Rule("GET", "/v1/stock/missing", _OWN_STOCK),
    Rule("GET", "/v1/stock/dead", _OWN_STOCK),
    Rule("GET", "/v1/stock/trust", _OWN_STOCK),
    Rule("GET", "/v1/parts", _OWN_STOCK),
    Rule("GET", "/v1/parts/questions", _OWN_STOCK),
    Rule("GET", "/v1/parts/unknown-codes", _SCANS),
    Rule("GET", "/v1/parts/waiting", _SCANS),
    Rule("POST", "/v1/parts/waiting/{van}/{epoch}/{seq}/decision", _STOCK),
    Rule("GET", "/v1/counts/variances", _OWN_STOCK),
    Rule("GET", "/v1/counts/recounts", _OWN_STOCK),
    # Resupply.
    Rule("GET", "/v1/orders", _OWN_STOCK),
    Rule("GET", "/v1/order-lines", _OWN_STOCK),
    Rule("GET", "/v1/orders/{code}", _OWN_STOCK),
    Rule("POST", "/v1/orders/{code}/approval", _STOCK),
    Rule("POST", "/v1/orders/{code}/reports", _SHELVES),
    Rule("POST", "/v1/orders/{code}/boxes", _SHELVES),
    Rule("GET", "/v1/orders/{code}/pick-list.pdf", _STOCK),
    Rule("GET", "/v1/orders/{code}/pick-list.csv", _STOCK),
    Rule("GET", "/v1/orders/{code}/boxes/{sscc}.pdf", _STOCK),
    Rule("GET", "/v1/warehouses/{code}/bin-labels.pdf", _STOCK),
    Rule("GET", "/v1/proposals", _OWN_STOCK),
    Rule("POST", "/v1/proposals/{van}/{item}/approval", _STOCK),
    Rule("GET", "/v1/transfers", _OWN_STOCK),
    Rule("POST", "/v1/transfers/{transfer_id}/decision", PLAN),
    Rule("GET", "/v1/boxes/unclaimed", _OWN_STOCK),
    Rule("GET", "/v1/templates/proposals", _STOCK),
    Rule("POST", "/v1/templates/{template}/acceptance", _STOCK),
    # For operators.
    Rule("GET", "/v1/rejected", _OPERATE),
    Rule("GET", "/v1/rejected/{rejected_id}", _OPERATE),
    Rule("POST", "/v1/rejected/{rejected_id}/replay", _OPERATE),
    Rule("POST", "/v1/rejected/{rejected_id}/discard", _OPERATE),
    Rule("POST", "/v1/parts/unknown-codes/mapping", frozenset({"warehouse", "ops", "admin"})),
    Rule("GET", "/v1/audit", _OPERATE),
    Rule("GET", "/v1/devices", _OPERATE),
    Rule("GET", "/v1/outbox", _OPERATE),
    Rule("GET", "/v1/servers", _OPERATE),
    Rule("GET", "/v1/webhooks", _OPERATE),
    Rule("GET", "/v1/webhooks/deliveries", _OPERATE),
    Rule("POST", "/v1/webhooks/deliveries/{delivery_id}/resend", _OPERATE),
)

RULES: Final = {(rule.method, rule.template): rule for rule in _TABLE}


def rule_of(method: str, template: str) -> Rule | None:
    """Return the rule of a route; None if it has none, and then nobody may use it."""
    return RULES.get(("GET" if method == "HEAD" else method, template))
