"""How much of what cannot be used is kept. Pure.

Bad input is kept with its bytes (promise 3), but a device that has gone mad, or somebody who wants to
fill the disk, sends millions of it. So each van has a quota a day, in messages and in bytes; what comes
beyond it is counted and not kept. The first one beyond is kept after all, with the reason `over_quota`,
so that whoever looks at the rejected messages learns of it. A scan that is not kept gets no receipt: its
tablet keeps it. Who is no known van shares one quota of a hundred vans, or codes drawn at random would
have no end; warehouses share one, too.

What was counted comes again after a crash, and is counted again: the count is of at least so many. Which
ones are kept depends on the order in which they came, unlike everything else.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ingest.batch import Rejection

UNKNOWN: Final = "(unknown)"
WAREHOUSES: Final = "(warehouses)"
UNKNOWN_VANS: Final = 100


@dataclass(frozen=True, slots=True)
class Quota:
    """Of one van and day."""

    messages: int = 10_000
    size: int = 50_000_000

    def of(self, sender: str) -> "Quota":
        """Return the quota of a sender."""
        if sender != UNKNOWN:
            return self
        return Quota(self.messages * UNKNOWN_VANS, self.size * UNKNOWN_VANS)


USUAL: Final = Quota()


@dataclass(slots=True)
class Used:
    """What one sender has used of its quota on a day, and what was not kept."""

    kept: int = 0
    kept_bytes: int = 0
    not_kept: int = 0
    not_kept_bytes: int = 0


@dataclass(slots=True)
class Admitted:
    """What is kept of a batch's rejections, and the senders' counts after it."""

    kept: list[Rejection] = field(default_factory=list)
    used: dict[str, Used] = field(default_factory=dict)


def sender_of(rejection: Rejection) -> str:
    """Return whose quota a rejection counts for."""
    if rejection.reason in {"unknown_van", "unknown_topic"}:
        return UNKNOWN
    return rejection.van_code or WAREHOUSES


def admit(rejections: Sequence[Rejection], used: Mapping[str, Used], quota: Quota) -> Admitted:
    """Return what is kept, in order, and the counts.

    Args:
        rejections: None of them kept already.
        used: What senders had used before; one that is not there has used nothing.
        quota: Of one van.
    """
    made = Admitted()
    counts = defaultdict(Used, {sender: replace(its) for sender, its in used.items()})
    for rejection in rejections:
        sender, size = sender_of(rejection), len(rejection.payload)
        its, most = counts[sender], quota.of(sender)
        if its.kept < most.messages and its.kept_bytes + size <= most.size:
            its.kept += 1
            its.kept_bytes += size
            made.kept.append(rejection)
            continue
        if its.not_kept == 0:
            made.kept.append(_last_one(rejection, sender, most))
        its.not_kept += 1
        its.not_kept_bytes += size
    made.used = dict(counts)
    return made


def _last_one(rejection: Rejection, sender: str, most: Quota) -> Rejection:
    detail = (
        f"{sender} has sent more than {most.messages:,} unusable messages today, or"
        f" {most.size / 1e6:,.0f} MB: what follows is counted, and not kept. This one was"
        f" {rejection.reason}: {rejection.detail}"
    )
    return replace(rejection, reason="over_quota", detail=detail)
