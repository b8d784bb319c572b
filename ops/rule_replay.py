"""Past days read again with other rules: what they would have said. Nothing is written.

The fixes and tours of the days come from the database; the engine is the one that ingest runs. Each
van is read twice, with the rules that hold and with the rules asked for, and the visits that stand
are compared: those that only one of the two finds, those whose arrival moved by more than a minute,
and what it means for punctuality and late alerts. Both readings begin with the first fix of the
period, so a van that was inside a fence then seems to arrive.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import msgspec

from geofence import store, tracks
from geofence.changes import Known, Said, Visit, revise
from geofence.fences import Fences
from geofence.fixes import Fixes
from geofence.reread import Course, read
from geofence.rules import USUAL, Rules
from geofence.tours import Stop
from geofence.visits import State
from storage.pool import connect
from storage.settings import Settings, as_datetime, as_ms

MOVED_MS: Final = 60_000
#: Differences listed in a terminal.
SHOWN: Final = 20


class UnknownRuleError(ValueError):
    """A rule that does not exist, or a value that it cannot have; the message says what can be."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A visit that only one of the two finds, or whose arrival moved by more than a minute."""

    van: str
    site: str
    what: str
    arrived: str
    minutes: float


def rules_of(settings: Sequence[str]) -> Rules:
    """Return the usual rules but for `name=value` settings.

    Raises:
        UnknownRuleError: There is no such rule, or it cannot have that value.
    """
    asked: dict[str, str | float] = {}
    names = ", ".join(Rules.__struct_fields__)
    for text in settings:
        name, _, value = text.partition("=")
        if name not in Rules.__struct_fields__:
            raise UnknownRuleError(f"There is no rule {name!r}: choose one of {names}.")
        asked[name] = value
    try:
        return msgspec.convert(msgspec.to_builtins(USUAL) | asked, Rules, strict=False)
    except msgspec.ValidationError as error:
        raise UnknownRuleError(f"{error}: give numbers, like dwell_s=240.") from None


async def replay(settings: Settings, first: date, last: date, rules: Rules) -> dict[str, Any]:
    """Return what the working days from `first` to `last` would have said, and what they did say."""
    sums = {"as_it_was": Counter[str](), "as_it_would_be": Counter[str]()}
    differences: list[Difference] = []
    async with (
        connect(settings.database_url, "cordee-replay-rules") as pool,
        pool.connection() as conn,
    ):
        await conn.set_read_only(True)
        sites = await store.load_sites(conn)
        fences = [Fences(sites, USUAL), Fences(sites, rules)]
        names = dict(await (await conn.execute("SELECT site_id, code FROM site")).fetchall())
        vans = await conn.execute("SELECT van_id, organisation_id, code FROM van ORDER BY van_id")
        for van, organisation, code in await vans.fetchall():
            stops = await store.load_stops(conn, [van], [first], [last])
            (track,) = await tracks.load_tracks(conn, [(van, *_period(first, last))])
            if not len(track):
                continue
            both = [read_van(van, organisation, track, stops, of) for of in fences]
            for name, visits in zip(sums, both, strict=True):
                sums[name] += count(visits, stops)
            differences += compare(code, names, *both)
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "rules": msgspec.to_builtins(rules),
        **{name: dict(sorted(figures.items())) for name, figures in sums.items()},
        "differences": [asdict(difference) for difference in differences],
    }


def _period(first: date, last: date) -> tuple[int, int]:
    """Return the moments between which the local working days lie, in any of Europe's zones."""
    begin = datetime.combine(first, time(), UTC)
    return as_ms(begin) - 1, as_ms(datetime.combine(last, time(), UTC) + timedelta(hours=30))


def read_van(
    van: int, organisation: int, track: Fixes, stops: Sequence[Stop], fences: Fences
) -> list[Visit]:
    """Return what one van's fixes say, from none before: its runs, judged and matched."""
    course = Course(van, organisation, State(), None, None, track)
    read([course], fences)
    return revise(van, Said(course.clusters), Known(stops=stops), fences).visits


def count(visits: Iterable[Visit], stops: Sequence[Stop]) -> Counter[str]:
    """Return how often each thing happened."""
    figures = Counter[str]()
    met = set()
    for visit in visits:
        figures["shadowed" if visit.shadowed_by is not None else visit.verdict] += 1
        if not visit.stands:
            continue
        met.add(visit.stop_id)
        figures[str(visit.punctuality)] += 1
        figures["wrong_order"] += visit.wrong_order
        figures["overstayed"] += visit.overstayed
        figures["late_alerts"] += visit.punctuality == "late"
    unmet = sum(stop.stop_id not in met for stop in stops)
    figures["unmet"] += unmet
    figures["late_alerts"] += unmet
    return figures


def compare(
    van: str, names: Mapping[int, str], were: Iterable[Visit], would_be: Iterable[Visit]
) -> list[Difference]:
    """Return in what the visits that stand differ, in the order of their arrivals."""
    before, after = ([visit for visit in visits if visit.stands] for visits in (were, would_be))
    found = []
    for visit in before:
        same = next((other for other in after if _overlap(visit, other)), None)
        if same is None:
            found.append((visit, "no visit any more", 0))
        elif abs(same.arrived_at - visit.arrived_at) > MOVED_MS:
            found.append((visit, "arrives at another time", same.arrived_at - visit.arrived_at))
    found += [
        (visit, "a visit now", 0)
        for visit in after
        if not any(_overlap(visit, other) for other in before)
    ]
    return [
        Difference(
            van,
            names[visit.site_id],
            what,
            as_datetime(visit.arrived_at).isoformat(timespec="seconds"),
            round(moved_ms / 60_000, 1),
        )
        for visit, what, moved_ms in sorted(found, key=lambda row: row[0].arrived_at)
    ]


def _overlap(a: Visit, b: Visit) -> bool:
    return (
        a.site_id == b.site_id
        and a.arrived_at <= b.last_inside_at
        and b.arrived_at <= a.last_inside_at
    )


def in_words(said: Mapping[str, Any]) -> list[str]:
    """Return a replay as lines for a terminal: figures side by side, then what differs."""
    were, would_be = said["as_it_was"], said["as_it_would_be"]
    lines = [f"{'':16}{'as it was':>12}{'would be':>12}"]
    lines += [
        f"{name:16}{were.get(name, 0):>12,}{would_be.get(name, 0):>12,}"
        for name in sorted({*were, *would_be})
    ]
    differences = said["differences"]
    lines.append(f"{len(differences)} visits differ")
    lines += [
        f"  {one['arrived']}  {one['van']}  {one['site']}  {one['what']}"
        + (f" ({one['minutes']:+.1f} min)" if one["minutes"] else "")
        for one in differences[:SHOWN]
    ]
    if len(differences) > SHOWN:
        lines.append(f"  and {len(differences) - SHOWN} more: use --json")
    return lines
