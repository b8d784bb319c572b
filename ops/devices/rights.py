"""What each user of the broker may publish and subscribe to, as MQTT topics and filters.

A van's devices publish that van's topics and nothing else. Services get what their work needs:
ingest reads what vans and warehouses send, and may limit what the broker keeps for it; the relay
publishes what the outbox holds, also what vans and warehouses said by HTTP and what is sent
again, and reads nothing; a warehouse reads the orders and reports for itself; a planner's program reads alerts and
visit reports.

What is not named is refused. `nats.py` and `mosquitto.py` say it in their broker's language.

A code becomes one level of a topic, so it must be one that no broker reads as anything else: see
`refusal`. This module must not know passwords, brokers or tables.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from ingest import partitions
from ingest.messages import SUBSCRIPTIONS
from storage.backlog import LIMIT_TOPIC

Role = Literal["van", "ingest", "relay", "warehouse", "planner"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

CODE_MAX: Final = 64

#: Levels and wildcards of MQTT; wildcards of NATS; what brokers keep for themselves; what ends a
#: name in Mosquitto's files.
NOT_IN_CODES: Final = frozenset('/+#*>$:%"\\')


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics and filters, in MQTT's words."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


def rights(role: Role, code: str = "") -> Rights:
    """Return what a role may do; `code` is the van's or the warehouse's.

    Raises:
        ValueError: The code cannot be made safe; the message says why.
    """
    if role in {"van", "warehouse"} and (why := refusal(code)):
        raise ValueError(why)
    match role:
        case "van":
            return Rights(
                publish=(
                    f"fleet/v1/{code}/position",
                    f"fleet/v1/{code}/scan",
                    f"fleet/v1/{code}/report",
                    f"fleet/v1/{code}/message",
                    f"fleet/v1/{code}/status",
                    f"owntracks/{code}/+",
                ),
                subscribe=(f"fleet/v1/{code}/receipt", f"fleet/v1/{code}/inbox"),
            )
        case "ingest":
            return Rights(publish=(LIMIT_TOPIC,), subscribe=(*SUBSCRIPTIONS, partitions.ALL))
        case "relay":
            return Rights(
                publish=(
                    "fleet/v1/+/position",
                    "fleet/v1/+/scan",
                    "fleet/v1/+/report",
                    "fleet/v1/+/message",
                    "fleet/v1/+/status",
                    "owntracks/+/+",
                    "fleet/v1/+/receipt",
                    "fleet/v1/+/inbox",
                    "warehouse/v1/orders/+",
                    "warehouse/v1/reports/+",
                    "planner/v1/alerts/+",
                    "planner/v1/visit-reports/+",
                )
            )
        case "warehouse":
            return Rights(
                publish=(f"warehouse/v1/reports/{code}",), subscribe=("warehouse/v1/orders/#",)
            )
        case "planner":
            return Rights(subscribe=("planner/v1/alerts/#", "planner/v1/visit-reports/#"))


def refusal(code: str) -> str | None:
    """Return why a code cannot stand in a topic that only its owner may write, or None.

    `*` or `>` in a code would be a wildcard in NATS's permissions, `+` or `#` in Mosquitto's; a `/`
    would make it two levels; NATS takes no white space in a topic.
    """
    if not code or len(code) > CODE_MAX:
        return f"{code!r} has not 1 to {CODE_MAX} characters: give it another code"
    if found := sorted(set(code) & NOT_IN_CODES):
        return f"{code!r} has {' '.join(found)} in it, which brokers read as more than a name"
    if not code.isprintable() or any(char.isspace() for char in code):
        return f"{code!r} has white space or control characters in it, which brokers do not take"
    return None
