"""The fleet in partitions: which topics each has, and how many each worker should hold.

NATS Server maps what vans publish, `fleet/v1/{van}/position`, to `part/{k}/fleet/v1/{van}/position`, where k
is a hash of the van modulo their number (`partition()`): all that one van sends is of one partition. A worker
subscribes to those that it holds, and takes the prefix away again, so that rules, message ids and
rejections see the topic as it was published. What Cordée sends to vans is not mapped.

The number 0 means no partitions: one session on the plain topics. This module must not know connections.
"""

from collections.abc import Collection, Sequence
from typing import Final

from ingest.messages import SUBSCRIPTIONS

#: What the sessions of all partitions subscribe to together.
ALL: Final = "part/+/#"

#: What becomes of a subject, in the words of `ops/devices/nats.py`: whichever partition it has.
MAPPED: Final = "part.*.{subject}"


def prefix(partition: int) -> str:
    """Return what stands before the topics of a part."""
    return f"part/{partition}/"


def filters(partition: int | None) -> tuple[str, ...]:
    """Return what the session of a partition subscribes to; None for the plain topics.

    One filter, since each is a consumer of the broker's, in a cluster with replicas of its own.
    """
    return SUBSCRIPTIONS if partition is None else (f"{prefix(partition)}#",)


def plain(topic: str, partition: int | None) -> str:
    """Return a topic as it was published."""
    return topic if partition is None else topic.removeprefix(prefix(partition))


def client_id(base: str, partition: int | None) -> str:
    """Return the name under which the broker keeps the backlog of a part."""
    return base if partition is None else f"{base}-p{partition}"


def every(count: int) -> tuple[int | None, ...]:
    """Return every partition; without any the one that is everything: None."""
    return tuple(range(count)) or (None,)


def of(van: str, count: int) -> int:
    """Return the partition of a van, as NATS Server does: FNV-1a, 32 bits, modulo their number."""
    found = 2_166_136_261
    for byte in van.replace(".", "//").encode():
        found = (found ^ byte) * 16_777_619 % 2**32
    return found % count


def nats_mappings(count: int) -> str:
    """Return the mappings of `count` partitions as NATS Server's configuration; empty for none.

    The first wildcard of each filter names the van, or the warehouse.
    """
    if not count:
        return ""
    return "mappings {\n" + "".join(_mapping(topic, count) for topic in SUBSCRIPTIONS) + "}\n"


def _mapping(topic: str, count: int) -> str:
    levels = topic.replace("+", "*").split("/")
    wildcards = iter(range(1, len(levels) + 1))
    said = [f"{{{{wildcard({next(wildcards)})}}}}" if it == "*" else it for it in levels]
    target = f"part.{{{{partition({count},1)}}}}.{'.'.join(said)}"
    return f'  "{".".join(levels)}": "{target}"\n'


def share(count: int, workers: int) -> int:
    """Return the most partitions that one of so many workers holds: all of them are held then."""
    return -(-count // max(1, workers))


def to_try(held: Collection[int], others: Sequence[int], count: int) -> list[int]:
    """Return the partitions that a worker should try to get, in this order; none if it has enough.

    Enough is its share, or that another live worker has fewer, who is to go first. It begins after those
    that it holds, so that workers that start together do not all try the same ones.

    Args:
        held: What it holds.
        others: How many each other live worker holds.
        count: How many partitions there are.
    """
    if len(held) >= share(count, len(others) + 1) or min(others, default=count) < len(held):
        return []
    first = max(held, default=-1) + 1
    return [found for n in range(count) if (found := (first + n) % count) not in held]


def to_let_go(held: Collection[int], others: Sequence[int], count: int) -> int | None:
    """Return the partition that a worker should let go of, its last one; None if it may keep all.

    Another worker must be at least two poorer, so that nothing goes back and forth; and nothing may lie
    about that the other can have without it.
    """
    is_rich = min(others, default=count) + 2 <= len(held)
    return max(held) if is_rich and len(held) + sum(others) >= count else None
