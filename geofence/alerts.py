"""What a planner should know of a stop or a van, and what becomes of the alert that says it.

| kind         | it holds while                                   | it has ended when              |
| ------------ | ------------------------------------------------ | ------------------------------ |
| `at_risk`    | the range of the ETA crosses the window's end    | it is known to be late, or not |
| `late`       | the window is over (†) and nobody has arrived    | arrived, or the day is over    |
| `missed`     | the day is over and nobody has arrived           | -                              |
| `overstayed` | the visit is open and longer than planned        | the van has left               |
| `silent`     | on duty, and no fix for 15 minutes               | a fix comes (*back*), off duty |

(†) As far as is known: the van was seen since, or is silent by now, 15 minutes later.

Of each (van, stop, kind) at most one alert is live. What a fact does to it:

| alert     | it holds          | it has ended          | it never was, or is foreseen no more |
| --------- | ----------------- | --------------------- | ------------------------------------ |
| none      | raise: open       | record: cleared (*)   | -                                    |
| open      | tell, if due      | clear: cleared        | withdraw: withdrawn                  |
| cleared   | reopen: open (**) | correct, if it differs| withdraw: withdrawn (***)            |

(*) Facts only (late, missed, overstayed): they are what the fixes say, whenever those came. That a
stop was at risk, or a van silent, is known when it is so or not at all. (**) A silence that has ended
is another one when it comes again. (***) Not a risk: it has been one, whatever came of it.

A withdrawn alert is history: it stays as it is, and the stop counts as having none. Facts are always
kept; but only fresh news notifies: planners are told of what began within the last 15 minutes, so
that a day of backlog does not call them out, and of an end only if they were told of the beginning.
A stop at risk is *shown* as soon as its range crosses the window's end. It is told once that has been
likely for a minute and is nearly sure; or likely, from a quarter of an hour before the window's end
on: nobody is late sooner, so until then a client can wait for a surer word, and is still told in time
(`is_worth_telling`).

Pure: facts come in, changes go out. A clock tick brings the facts of which no message tells.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from geofence.tours import Stop, overstay_limit_s

Kind = Literal["at_risk", "late", "missed", "overstayed", "silent"]
AlertState = Literal["open", "cleared", "withdrawn"]
News = Literal["raised", "cleared", "withdrawn", "back"]
Cause = Literal["left_late", "slow_road", "long_visit", "detour", "silence"]
Phase = Literal["holds", "ended", "never"]

FRESH_MS: Final = 15 * 60_000
SILENT_MS: Final = 15 * 60_000
#: The range of an ETA crosses the window's end: 10 % of what may happen lies beyond its late end.
CHANCE_AT_RISK: Final = 0.10
#: What was at risk stays so until it is clearly not.
CHANCE_SAFE: Final = 0.05
#: Nearly sure, and likely, and for how long: found on simulated days as what tells most clients in
#: time for the fewest told for nothing.
CHANCE_SURE: Final = 0.98
CHANCE_LIKELY: Final = 0.70
LIKELY_FOR_MS: Final = 60_000
#: What a client needs to be told ahead, and the half minute until it is asked again.
NOTICE_MS: Final = 15 * 60_000 + 30_000
#: Who is expected sooner cannot be told in time.
TOO_SOON_MS: Final = 11 * 60_000
#: Even if nearly sure: the window's end itself will say so.
FAR_TOO_SOON_MS: Final = 5 * 60_000
#: Kinds that are what the fixes say.
FACTS: Final = frozenset({"late", "missed", "overstayed"})


class Subject(msgspec.Struct, frozen=True):
    """What an alert is about: a stop of a van's tour, or the van itself."""

    van_id: int
    stop: Stop | None
    kind: Kind

    @property
    def key(self) -> tuple[int, int | None, Kind]:
        """What at most one live alert has."""
        return self.van_id, self.stop.stop_id if self.stop else None, self.kind


class Fact(msgspec.Struct, frozen=True):
    """What is true of a subject now. Times are ms since 1970 UTC.

    Attributes:
        phase: Whether it holds, has ended, or never was.
        due_at: The window's end; when the overstay began; the last fix before the silence.
        reason: In words.
        ended_at: The arrival, the departure, the first fix again.
        minutes: How late, expected or real; how long over; how long silent.
        cause: Why, as far as can be told.
        pushes: Stops that it will make late next.
        is_news: Whether it is to be told to planners if it holds.
    """

    phase: Phase
    due_at: int
    reason: str
    ended_at: int | None = None
    minutes: int | None = None
    cause: Cause | None = None
    pushes: tuple[int, ...] = ()
    is_news: bool = False


class LiveAlert(msgspec.Struct, frozen=True):
    """An alert that is not withdrawn; `told` is whether planners know of it."""

    van_id: int
    stop_id: int | None
    kind: Kind
    state: AlertState
    due_at: int
    ended_at: int | None
    told: bool

    @property
    def key(self) -> tuple[int, int | None, Kind]:
        """What it is about."""
        return self.van_id, self.stop_id, self.kind


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What to write of an alert, and what to publish of it, if anything.

    `is_new` tells a row to insert from one to update.
    """

    subject: Subject
    state: AlertState
    fact: Fact
    is_new: bool
    news: News | None


def settle(subject: Subject, fact: Fact, alert: LiveAlert | None) -> AlertChange | None:
    """Return what changes for an alert, by the table above; None if nothing does."""
    if fact.phase == "holds":
        return _hold(subject, fact, alert)
    if fact.phase == "ended":
        return _end(subject, fact, alert)
    if alert is None or (alert.state == "cleared" and subject.kind == "at_risk"):
        return None
    news: News | None = "withdrawn" if alert.told else None
    return AlertChange(subject, "withdrawn", fact, is_new=False, news=news)


def _hold(subject: Subject, fact: Fact, alert: LiveAlert | None) -> AlertChange | None:
    is_open = alert is not None and alert.state == "open"
    if alert is not None and is_open and not _is_moved(subject, fact, alert):
        # A risk may become worth telling while it is open; the others are told when they begin.
        is_due = subject.kind == "at_risk" and fact.is_news and not alert.told
        if not is_due:
            return None
    news: News | None = "raised" if fact.is_news else None
    is_new = alert is None or (subject.kind == "silent" and not is_open)
    return AlertChange(subject, "open", fact, is_new=is_new, news=news)


def _end(subject: Subject, fact: Fact, alert: LiveAlert | None) -> AlertChange | None:
    if alert is None:
        if subject.kind not in FACTS:
            return None
        return AlertChange(subject, "cleared", fact, is_new=True, news=None)
    if alert.state == "cleared" and (
        subject.kind == "at_risk"
        or (alert.ended_at == fact.ended_at and not _is_moved(subject, fact, alert))
    ):
        return None
    ended: News = "back" if subject.kind == "silent" else "cleared"
    news = ended if alert.state == "open" and alert.told else None
    return AlertChange(subject, "cleared", fact, is_new=False, news=news)


def _is_moved(subject: Subject, fact: Fact, alert: LiveAlert) -> bool:
    """Whether the plan has changed under an alert."""
    return subject.kind != "silent" and alert.due_at != fact.due_at


class Presence(msgspec.Struct, frozen=True):
    """What is known of a stop's visit. Times are ms since 1970 UTC."""

    arrived_at: int
    last_inside_at: int
    left_at: int | None
    overstayed: bool


def known_at(stop: Stop, seen_at: int) -> int:
    """Return from when on it is known that a stop's window is over and nobody has arrived.

    Args:
        stop: The planned stop.
        seen_at: The van's newest fix: if that is older it may have arrived unseen.
    """
    return stop.window_end if seen_at > stop.window_end else stop.window_end + SILENT_MS


def late(stop: Stop, visit: Presence | None, seen_at: int, now: int) -> Fact:
    """Return whether a stop is late.

    Args:
        stop: The planned stop.
        visit: The visit that keeps it; None if there is none.
        seen_at: The van's newest fix, ms since 1970 UTC.
        now: The present, ms since 1970 UTC.
    """
    end = stop.window_end
    if visit is not None:
        if visit.arrived_at <= end:
            reason = "the van had arrived in time; raised on what was known then"
            return Fact("never", end, reason, visit.arrived_at)
        minutes = _minutes(visit.arrived_at - end)
        reason = f"arrived {minutes} min after the window ended"
        return Fact("ended", end, reason, visit.arrived_at, minutes)
    if now <= known_at(stop, seen_at):
        return Fact("never", end, "the window is not over; raised on what was known then")
    if now > max(stop.day_end, end):
        return Fact("ended", end, "nobody came that day")
    reason = "not arrived when the window ended"
    is_news = now - known_at(stop, seen_at) <= FRESH_MS
    return Fact("holds", end, reason, minutes=_minutes(now - end), is_news=is_news)


def missed(stop: Stop, visit: Presence | None, now: int) -> Fact:
    """Return whether a stop was missed. Arguments as for `late`."""
    end = max(stop.day_end, stop.window_end)
    if visit is not None:
        return Fact("never", stop.window_end, "the van had been there", visit.arrived_at)
    if now <= end:
        return Fact("never", stop.window_end, "the day is not over")
    is_news = now - end <= FRESH_MS
    return Fact("holds", stop.window_end, "nobody came that day", is_news=is_news)


def overstayed(stop: Stop, visit: Presence | None, now: int) -> Fact:
    """Return whether a visit is overstayed. Arguments as for `late`."""
    if visit is None or not visit.overstayed:
        return Fact("never", stop.window_end, "the visit was not that long")
    due_at = visit.arrived_at + 1_000 * overstay_limit_s(stop.planned_duration_s)
    minutes = _minutes(visit.last_inside_at - visit.arrived_at) - stop.planned_duration_s // 60
    reason = f"{minutes} min longer than planned"
    if visit.left_at is not None:
        return Fact("ended", due_at, reason, visit.last_inside_at, minutes, "long_visit")
    is_news = now - due_at <= FRESH_MS
    return Fact("holds", due_at, reason, None, minutes, "long_visit", is_news=is_news)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foreseen of a stop: the ETA and the chance that it is late.

    It rests on the van as it was at `seen_at`. Times are ms since 1970 UTC.
    """

    expected_at: int
    chance_late: float
    seen_at: int
    cause: Cause | None = None
    pushes: tuple[int, ...] = ()


def at_risk(
    stop: Stop, outlook: Outlook, likely_since: int | None, alert: LiveAlert | None, now: int
) -> Fact:
    """Return whether a stop that is not reached yet is at risk.

    Args:
        stop: The planned stop.
        outlook: What is foreseen.
        likely_since: Since when it has been likely to be late, ms since 1970 UTC; None if it is not.
        alert: Its live alert: what is at risk stays so until it is clearly not.
        now: The present, ms since 1970 UTC.
    """
    end = stop.window_end
    if now > known_at(stop, outlook.seen_at):
        return Fact("ended", end, "the window is over")
    is_open = alert is not None and alert.state == "open"
    if outlook.chance_late < (CHANCE_SAFE if is_open else CHANCE_AT_RISK):
        return Fact("never", end, "expected in time again")
    minutes = _minutes(outlook.expected_at - end)
    if minutes > 0:
        reason = f"expected {minutes} min after the window's end"
    else:
        reason = f"expected {-minutes} min before the window's end: it may be late"
    is_news = is_worth_telling(stop, outlook, likely_since, now)
    return Fact("holds", end, reason, None, minutes, outlook.cause, outlook.pushes, is_news)


def is_worth_telling(stop: Stop, outlook: Outlook, likely_since: int | None, now: int) -> bool:
    """Return whether a client should be told, by the page above; arguments as for `at_risk`.

    Whoever is late when the window is over will be called late as soon as that is known.
    """
    if now > stop.window_end or likely_since is None or now - likely_since < LIKELY_FOR_MS:
        return False
    ahead = outlook.expected_at - now
    if outlook.chance_late >= CHANCE_SURE:
        return ahead >= FAR_TOO_SOON_MS
    return stop.window_end - now <= NOTICE_MS and ahead >= TOO_SOON_MS


def silent(newest_fix: int, now: int, *, on_duty: bool) -> Fact:
    """Return whether a van is silent, as the clock sees it."""
    if now - newest_fix < SILENT_MS:
        return Fact("never", newest_fix, "it reports")
    if not on_duty:
        return Fact("ended", newest_fix, "off duty")
    minutes = (now - newest_fix) // 60_000
    is_news = now - newest_fix - SILENT_MS <= FRESH_MS
    reason = "no position: whether it is late cannot be known"
    return Fact("holds", newest_fix, reason, None, minutes, "silence", is_news=is_news)


def heard(alert: LiveAlert, next_fix: int) -> Fact:
    """Return what a silence was, now that the fix after it is known."""
    if next_fix - alert.due_at < SILENT_MS:
        reason = "it had reported all the time: the messages came late"
        return Fact("never", alert.due_at, reason, next_fix)
    minutes = (next_fix - alert.due_at) // 60_000
    return Fact("ended", alert.due_at, f"back after {minutes} min", next_fix, minutes)


def settle_stops(
    stops: Iterable[Stop],
    presence_of: Mapping[int, Presence],
    live: Mapping[tuple[int, int | None, Kind], LiveAlert],
    seen_at: Mapping[int, int],
    now: int,
) -> list[AlertChange]:
    """Return what changes for the alerts of stops because of what is true of their visits.

    Args:
        stops: Of any vans and days.
        presence_of: By stop_id, the visit that keeps it.
        live: The live alerts of these stops.
        seen_at: By van, the time of its newest fix, ms since 1970 UTC, if it has any.
        now: The present, ms since 1970 UTC.
    """
    changes: list[AlertChange | None] = []
    for stop in stops:
        visit, seen = presence_of.get(stop.stop_id), seen_at.get(stop.van_id, 0)
        facts: Sequence[tuple[Kind, Fact]] = (
            ("late", late(stop, visit, seen, now)),
            ("missed", missed(stop, visit, now)),
            ("overstayed", overstayed(stop, visit, now)),
        )
        for kind, fact in facts:
            subject = Subject(stop.van_id, stop, kind)
            changes.append(settle(subject, fact, live.get(subject.key)))
        subject = Subject(stop.van_id, stop, "at_risk")
        risk = live.get(subject.key)
        if (
            risk is not None
            and risk.state == "open"
            and (visit is not None or now > known_at(stop, seen))
        ):
            changes.append(settle(subject, over(stop, visit), risk))
    return [change for change in changes if change is not None]


def over(stop: Stop, visit: Presence | None) -> Fact:
    """Return what ends a risk: an arrival, or the end of the window."""
    if visit is None:
        return Fact("ended", stop.window_end, "the window is over")
    minutes = _minutes(visit.arrived_at - stop.window_end)
    reason = "arrived in time"
    if minutes > 0:
        reason = f"arrived {minutes} min after the window ended"
    return Fact("ended", stop.window_end, reason, visit.arrived_at, minutes)


def _minutes(ms: int) -> int:
    """Return whole minutes, rounded up."""
    return -(-ms // 60_000)
