"""When a van needs parts, and how many: one open proposal a pair, set and never added to.

With s the reorder point, S the order-up-to level, m the pack and c the cap:

    on hand  = sum over lots of max(0, level), without what expires before it can be used
               (a negative level is an error, never a demand)
    position = on hand + on order + coming from other vans - promised to them - needed by jobs
    position <= s  ->  order q = S - position, in whole packs:
        up to the next pack if that stays within the cap, else down if that still clears s,
        else up, over the cap.
    short    = needed before the next delivery - on hand - on order - from other vans

`S >= s + 1` (a constraint of the table), so that an order always lifts the position above the
trigger. The same inputs always set the same proposal: running it again changes nothing.

Jobs count from the cut-off that was done last to the delivery after the next one: what they need
before that must be on the next order, for the order after it comes too late. An item that the van's
template does not hold has s = -1 and S = 0: it is ordered when jobs need it, and only that. What is
*short* cannot wait for the next delivery; `urgent.py` says what becomes of it.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Policy:
    """What a van's template says of an item, or an exception for the van; in base units."""

    reorder_point: int
    order_up_to: int
    cap: int
    pack_qty: int


#: Of an item that the van does not hold: nothing but what jobs need.
NOT_HELD: Final = Policy(-1, 0, 1_000_000, 1)


@dataclass(frozen=True, slots=True)
class Position:
    """What a van has, will get and must have of an item, in base units.

    Attributes:
        on_transfer: Coming from other vans, less what is promised to them.
        needed: By jobs that the next order must serve.
        needed_soon: The part of it before the next delivery.
        jobs: Work orders that need it.
    """

    location_id: int
    item_id: int
    on_hand: int
    on_order: int
    policy: Policy
    on_transfer: int = 0
    needed: int = 0
    needed_soon: int = 0
    jobs: tuple[str, ...] = ()

    @property
    def available(self) -> int:
        """What is left when all that is coming has come and all jobs are served."""
        return self.on_hand + self.on_order + self.on_transfer - self.needed


def quantity(position: Position) -> int:
    """Return how many base units to propose; 0 for none."""
    policy, available = position.policy, position.available
    if available > policy.reorder_point:
        return 0
    missing, pack = policy.order_up_to - available, policy.pack_qty
    up = -(-missing // pack) * pack
    down = missing // pack * pack
    if available + up <= policy.cap or available + down <= policy.reorder_point:
        return up
    return down


def short(position: Position) -> int:
    """Return what jobs need before the next delivery and will not have; 0 for nothing."""
    coming = position.on_hand + position.on_order + position.on_transfer
    return max(0, position.needed_soon - coming)


def is_over_cap(position: Position, qty: int) -> bool:
    """Whether an order takes the van over its cap, because a pack is as large as that."""
    return position.available + qty > position.policy.cap


def inputs(position: Position) -> dict[str, int | str | list[str]]:
    """Return what the decision was made from, to be frozen with the order, and why in words."""
    policy = position.policy
    return {
        "on_hand": position.on_hand,
        "on_order": position.on_order,
        "on_transfer": position.on_transfer,
        "needed": position.needed,
        "jobs": list(position.jobs),
        "reorder_point": policy.reorder_point,
        "order_up_to": policy.order_up_to,
        "cap": policy.cap,
        "pack_qty": policy.pack_qty,
        "why": in_words(position),
    }


def in_words(position: Position) -> str:
    """Return a sentence that says why the next order should hold the item."""
    policy = position.policy
    parts = [f"{position.on_hand} on board", f"{position.on_order} on order"]
    if position.on_transfer > 0:
        parts.append(f"{position.on_transfer} coming from another van")
    if position.on_transfer < 0:
        parts.append(f"{-position.on_transfer} promised to another van")
    if position.needed:
        jobs = f" ({', '.join(position.jobs[:3])}{', ...' if position.jobs[3:] else ''})"
        parts.append(f"{position.needed} needed by jobs{jobs if position.jobs else ''}")
    has = ", ".join(parts[:-1]) + f" and {parts[-1]}"
    if policy.reorder_point < 0:
        return f"{has}: the van does not hold it, and gets what its jobs need"
    full = f"filled up to {policy.order_up_to} in packs of {policy.pack_qty}"
    if position.available + quantity(position) > policy.cap:
        full += f", which is over the cap of {policy.cap}"
    return f"{has}: not above the reorder point {policy.reorder_point}; {full}"
