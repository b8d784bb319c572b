"""When a van needs parts, and how many: one open proposal a pair, set and never added to.

With s the reorder point, S the order-up-to level, m the pack and c the cap:

    on hand  = sum over lots of max(0, level)      a negative level is an error, never a demand
    position = on hand + on order - needed by jobs
    position <= s  ->  order q = S - position, in whole packs:
        up to the next pack if that stays within the cap, else down if that still clears s,
        else up, over the cap.

`S >= s + 1` (a constraint of the table), so that an order always lifts the position above the
trigger. The same inputs always set the same proposal: running it again changes nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What a van's template says of an item; quantities in base units."""

    reorder_point: int
    order_up_to: int
    cap: int
    pack_qty: int


@dataclass(frozen=True, slots=True)
class Position:
    """What a van has and will get of an item, in base units."""

    location_id: int
    item_id: int
    on_hand: int
    on_order: int
    policy: Policy


def quantity(position: Position) -> int:
    """Return how many base units to propose; 0 for none."""
    policy = position.policy
    available = position.on_hand + position.on_order
    if available > policy.reorder_point:
        return 0
    missing, pack = policy.order_up_to - available, policy.pack_qty
    up = -(-missing // pack) * pack
    down = missing // pack * pack
    if available + up <= policy.cap or available + down <= policy.reorder_point:
        return up
    return down


def inputs(position: Position) -> dict[str, int | str]:
    """Return what the decision was made from, to be frozen with the order, and why in words."""
    policy = position.policy
    return {
        "on_hand": position.on_hand,
        "on_order": position.on_order,
        "reorder_point": policy.reorder_point,
        "order_up_to": policy.order_up_to,
        "cap": policy.cap,
        "pack_qty": policy.pack_qty,
        "why": (
            f"{position.on_hand} on board and {position.on_order} on order: not above the reorder "
            f"point {policy.reorder_point}; filled up to {policy.order_up_to} in packs of "
            f"{policy.pack_qty}"
        ),
    }
