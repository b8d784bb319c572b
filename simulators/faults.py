"""From what happened to what is sent: noise, dead zones, repeats, wrong order, spoiled payloads.

The faults are those a fleet really shows. GPS: white noise, a few poor fixes that say so
(`acc_m` above 100), a few isolated jumps that do not. Network: dead zones, in which a van keeps
what it made and sends it as backlog arrays only after its newer data has begun to flow, in no good
order; repeats of the very same payload; small delays. Clocks: each van's is off by up to 2 s, the
same all day. Devices: a tablet that sends everything an hour late; payloads that are no good.

Every van's stream is a pure function of world, day and rates, sorted by `send_ms`; two runs differ
in nothing, so a simulator that was stopped goes on by skipping what it had sent.

A jump is a single fix that would need more than 110 m/s from the fix before and to the fix after,
both of them good: nobody drives that, so it is a fault by any rule.

This module must not know what the receiver does about any of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from operator import attrgetter
from typing import Final

import msgspec
import numpy as np

from ingest.messages import BACKLOG_MAX, Position, Scan, Status, encode
from simulators.roads import METRES_PER_DEGREE, Floats
from simulators.vans import Fixes, VanDay
from simulators.world import Ints, World, dice

MINUTE_MS: Final = 60_000
#: The longest anything is held back, by a dead zone or a late tablet, with its sending.
HELD_MS_MAX: Final = 90 * MINUTE_MS
JUMP_MPS: Final = 115.0


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things go wrong: shares of messages, or expected numbers per van and day."""

    noise_m: float = 4.0
    poor_share: float = 0.005
    jump_share: float = 0.001
    dead_zones_a_day: float = 1.2
    late_tablet_share: float = 0.01
    repeated_share: float = 0.004
    delayed_share: float = 0.01
    spoiled_a_day: float = 0.5
    clock_off_ms: int = 2_000


USUAL: Final = Rates()
NONE: Final = Rates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it leaves a van. `made_ms` is when its content, or the oldest of it, arose.

    `spoiled` marks a payload or topic that nobody can use.
    """

    send_ms: int
    topic: str
    payload: bytes
    retain: bool = False
    made_ms: int = 0
    spoiled: bool = False


#: The order of every stream.
SENT: Final = attrgetter("send_ms")


@dataclass(frozen=True, slots=True, eq=False)
class _Feed:
    """A van's fixes on their way: when truly made, what is told of them, when each is sent alone.

    `sent_ms` is -1 for those a dead zone holds back. All columns have the shape (fixes,).
    """

    topic: str
    made_ms: Ints
    told: Fixes
    accuracy_m: Floats
    sent_ms: Ints

    def position(self, index: int) -> Position:
        """Return one fix as it is told."""
        told = self.told
        return Position(
            t=int(told.t_ms[index]),
            lat=float(told.latitude_deg[index]),
            lon=float(told.longitude_deg[index]),
            acc_m=float(self.accuracy_m[index]),
            speed_mps=float(told.speed_mps[index]),
            bearing_deg=float(told.bearing_deg[index]),
            ignition=bool(told.ignition[index]),
            odometer_m=float(told.odometer_m[index]),
        )

    def alone(self, index: int, later_ms: int = 0) -> Outgoing:
        """Return one fix as its own message."""
        return Outgoing(
            send_ms=int(self.sent_ms[index]) + later_ms,
            topic=self.topic,
            payload=encode(self.position(index)),
            made_ms=int(self.made_ms[index]),
        )


@dataclass(frozen=True, slots=True)
class DeadZone:
    """No network from `from_ms` until `to_ms`."""

    from_ms: int
    to_ms: int


def outgoing_of_van(
    world: World,
    van_day: VanDay,
    scans: Sequence[Scan],
    rates: Rates = USUAL,
    since_ms: int = 0,
) -> Iterator[Outgoing]:
    """Yield what one van sends in its day, by `send_ms`, leaving out what is before `since_ms`.

    Fixes are encoded one by one as they are asked for; the rest, far fewer, at once.
    """
    rng = dice(world.seed, "faults", van_day.tour.day.toordinal(), van_day.tour.van)
    clock_ms = round(rng.uniform(-1, 1) * rates.clock_off_ms)
    zones = _dead_zones(van_day, rates, rng)
    measured, accuracy_m = _measure(van_day.fixes, rates, rng)
    sent_ms = _send_times(measured.t_ms, zones, rates, rng)
    feed = _Feed(
        topic=f"fleet/v1/{van_day.van}/position",
        made_ms=measured.t_ms,
        told=replace(measured, t_ms=measured.t_ms + clock_ms),
        accuracy_m=accuracy_m,
        sent_ms=sent_ms,
    )
    extras = [
        *_fix_backlogs(feed, zones, rng),
        *_repeats(feed, rates, rng),
        *_spoiled(feed, rates, rng),
        *_statuses(van_day, zones, clock_ms),
        *_scan_messages(van_day.van, scans, zones, clock_ms, rates=rates, rng=rng),
    ]
    extras = [message for message in extras if message.send_ms >= since_ms]
    extras.sort(key=SENT)
    return merge(_live_fixes(feed, since_ms), extras, key=SENT)


def _dead_zones(van_day: VanDay, rates: Rates, rng: np.random.Generator) -> tuple[DeadZone, ...]:
    """30 s to 20 min each, short ones likelier; anywhere in the day, one after the other."""
    zones: list[DeadZone] = []
    starts = rng.integers(
        van_day.on_duty_ms, van_day.off_duty_ms, int(rng.poisson(rates.dead_zones_a_day))
    )
    for from_ms in sorted(starts.tolist()):
        to_ms = from_ms + round(30_000 * 40 ** rng.random())
        if not zones or from_ms > zones[-1].to_ms + 3 * MINUTE_MS:
            zones.append(DeadZone(from_ms, to_ms))
    return tuple(zones)


def _measure(fixes: Fixes, rates: Rates, rng: np.random.Generator) -> tuple[Fixes, Floats]:
    """Return the fixes as a receiver measures them, and the accuracy it claims, metres."""
    count = len(fixes.t_ms)
    north_m, east_m = rng.normal(0.0, rates.noise_m, (2, count))
    accuracy_m = np.round(np.clip(rng.lognormal(1.7, 0.4, count), 3, 15), 1).astype(np.float64)
    poor = rng.random(count) < rates.poor_share
    accuracy_m[poor] = np.round(rng.uniform(110, 900, int(poor.sum())), 1)
    north_m[poor] = rng.normal(0.0, accuracy_m[poor] / 2)
    east_m[poor] = rng.normal(0.0, accuracy_m[poor] / 2)

    gap_s = np.diff(fixes.t_ms) / 1000
    for index in np.flatnonzero(rng.random(count) < rates.jump_share).tolist():
        beside = slice(index - 2, index + 3)
        if not 2 <= index < count - 2 or poor[beside].any():
            continue
        jump_m = JUMP_MPS * max(gap_s[index - 1], gap_s[index]) + rng.uniform(100, 1_500)
        bearing = rng.uniform(0, 2 * np.pi)
        north_m[index], east_m[index] = jump_m * np.cos(bearing), jump_m * np.sin(bearing)
        poor[index] = True  # so that no second jump comes beside this one

    east_metres = METRES_PER_DEGREE * np.cos(np.radians(fixes.latitude_deg))
    measured = replace(
        fixes,
        latitude_deg=np.round(fixes.latitude_deg + north_m / METRES_PER_DEGREE, 6),
        longitude_deg=np.round(fixes.longitude_deg + east_m / east_metres, 6),
        speed_mps=np.round(fixes.speed_mps, 1),
        bearing_deg=np.round(fixes.bearing_deg, 0),
        odometer_m=np.round(fixes.odometer_m, 0),
    )
    return measured, accuracy_m


def _send_times(
    made_ms: Ints, zones: Sequence[DeadZone], rates: Rates, rng: np.random.Generator
) -> Ints:
    """Return when each fix is sent alone, int64 ms; -1 for those held by a dead zone."""
    count = len(made_ms)
    sent = made_ms + rng.integers(200, 1_500, count)
    delayed = rng.random(count) < rates.delayed_share
    sent[delayed] += rng.integers(5_000, 40_000, int(delayed.sum()))
    for zone in zones:
        sent[(made_ms >= zone.from_ms) & (made_ms < zone.to_ms)] = -1
        # What was on its way when the network went waits for its end.
        waiting = (made_ms < zone.from_ms) & (sent >= zone.from_ms) & (sent < zone.to_ms)
        sent[waiting] = zone.to_ms + rng.integers(100, 2_000, int(waiting.sum()))
    return sent


def _live_fixes(feed: _Feed, since_ms: int) -> Iterator[Outgoing]:
    order = np.argsort(feed.sent_ms, kind="stable")
    first = np.searchsorted(feed.sent_ms[order], max(0, since_ms))
    for index in order[first:].tolist():
        yield feed.alone(index)


def _fix_backlogs(
    feed: _Feed, zones: Sequence[DeadZone], rng: np.random.Generator
) -> Iterator[Outgoing]:
    """Yield each dead zone's fixes in arrays, after newer fixes have gone out, in no good order."""
    for zone in zones:
        inside = (feed.made_ms >= zone.from_ms) & (feed.made_ms < zone.to_ms)
        held = np.flatnonzero(inside & (feed.sent_ms < 0))
        rng.shuffle(held)
        newer = feed.sent_ms[(feed.made_ms >= zone.to_ms) & (feed.sent_ms >= 0)]
        begins_ms = int(newer.min()) if len(newer) else zone.to_ms
        start = 0
        while start < len(held):
            part = held[start : start + int(rng.integers(10, BACKLOG_MAX // 5))]
            start += len(part)
            yield Outgoing(
                send_ms=begins_ms + int(rng.integers(1_000, 45_000)),
                topic=feed.topic,
                payload=msgspec.json.encode([feed.position(index) for index in part.tolist()]),
                made_ms=int(feed.made_ms[part].min()),
            )


def _repeats(feed: _Feed, rates: Rates, rng: np.random.Generator) -> Iterator[Outgoing]:
    """Yield some fixes once more, byte for byte, soon or half an hour later."""
    chosen = (rng.random(len(feed.sent_ms)) < rates.repeated_share) & (feed.sent_ms >= 0)
    for index in np.flatnonzero(chosen).tolist():
        half_an_hour = rng.random() < 0.1
        yield feed.alone(index, 30 * MINUTE_MS if half_an_hour else int(rng.integers(500, 90_000)))


def _spoiled(feed: _Feed, rates: Rates, rng: np.random.Generator) -> Iterator[Outgoing]:
    """Yield payloads nobody can use. Each differs from all others, so that each can be counted."""
    topic = feed.topic
    for _ in range(int(rng.poisson(rates.spoiled_a_day))):
        index = int(rng.integers(len(feed.sent_ms)))
        t = int(feed.told.t_ms[index]) + int(rng.integers(1, 900))
        payload, where = (
            (f'{{"t":{t},"lat":48.8,"lo'.encode(), topic),
            (f'{{"t":{t},"lat":48.85,"acc_m":5}}'.encode(), topic),
            (f'{{"t":{t},"lat":"48.85","lon":2.35}}'.encode(), topic),
            (f'{{"t":{t},"lat":148.85,"lon":2.35}}'.encode(), topic),
            (f'{{"t":{t},"lat":48.85,"lon":2.35}}'.encode(), "fleet/v1/van-unknown/position"),
        )[int(rng.integers(5))]
        send_ms = max(int(feed.sent_ms[index]), t + 900)
        yield Outgoing(send_ms, where, payload, made_ms=t, spoiled=True)


def _statuses(van_day: VanDay, zones: Sequence[DeadZone], clock_ms: int) -> Iterator[Outgoing]:
    """On duty before the first fix, off duty after the last: retained, so that the newest stays."""
    for t_ms, status in (
        (van_day.on_duty_ms, Status("online", van_day.on_duty_ms + clock_ms, "on")),
        (van_day.off_duty_ms, Status("offline", van_day.off_duty_ms + clock_ms, "off")),
    ):
        yield Outgoing(
            send_ms=_when_online(t_ms + 300, zones),
            topic=f"fleet/v1/{van_day.van}/status",
            payload=encode(status),
            retain=True,
            made_ms=t_ms,
        )


def _when_online(t_ms: int, zones: Sequence[DeadZone]) -> int:
    for zone in zones:
        if zone.from_ms <= t_ms < zone.to_ms:
            return zone.to_ms + 500
    return t_ms


def _scan_messages(
    van: str,
    scans: Sequence[Scan],
    zones: Sequence[DeadZone],
    clock_ms: int,
    *,
    rates: Rates,
    rng: np.random.Generator,
) -> Iterator[Outgoing]:
    """Yield each scan at once, or all of a dead zone in one array, newest first; some twice."""
    topic = f"fleet/v1/{van}/scan"
    late_ms = 60 * MINUTE_MS if rng.random() < rates.late_tablet_share else 0
    told = [msgspec.structs.replace(scan, t=scan.t + clock_ms) for scan in scans]
    held = [
        [index for index, scan in enumerate(scans) if zone.from_ms <= scan.t < zone.to_ms]
        for zone in zones
    ]
    in_a_zone = {index for part in held for index in part}
    for zone, part in zip(zones, held, strict=True):
        if part:
            yield Outgoing(
                send_ms=zone.to_ms + late_ms + int(rng.integers(12_000, 60_000)),
                topic=topic,
                payload=msgspec.json.encode([told[index] for index in reversed(part)]),
                made_ms=scans[part[0]].t,
            )
    for index, scan in enumerate(told):
        if index in in_a_zone:
            continue
        message = Outgoing(
            send_ms=_when_online(scans[index].t + late_ms + int(rng.integers(200, 1_500)), zones),
            topic=topic,
            payload=encode(scan),
            made_ms=scans[index].t,
        )
        yield message
        if rng.random() < rates.repeated_share * 5:
            yield replace(message, send_ms=message.send_ms + int(rng.integers(500, 90_000)))


def flush(remaining: Iterable[Outgoing], now_ms: int) -> Iterator[Outgoing]:
    """Yield, from what is still to be sent, all that had been made by `now_ms`, to be sent now.

    A backlog array is cut to what had been made: its elements carry their own time, by the van's
    clock, up to 2 s off. Reads `remaining` only as far as anything can be held back.
    """
    for message in remaining:
        if message.send_ms > now_ms + HELD_MS_MAX:
            return
        if message.made_ms > now_ms:
            continue
        payload = message.payload
        if payload.startswith(b"["):
            parts = msgspec.json.decode(payload, type=list[_Timed])
            raws = msgspec.json.decode(payload, type=list[msgspec.Raw])
            kept = [raw for part, raw in zip(parts, raws, strict=True) if part.t <= now_ms]
            if not kept:
                continue
            payload = msgspec.json.encode(kept)
        yield replace(message, send_ms=now_ms, payload=payload)


class _Timed(msgspec.Struct):
    t: int
