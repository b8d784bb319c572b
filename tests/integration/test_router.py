"""A router asked over HTTP: what it says is kept, and what it does wrong stops nobody."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from structlog.testing import capture_logs

from geofence.fences import distance_m
from geofence.forecast.router import Answer, Leg, Policy, Router, batches_of
from ops.embedded import free_port
from tests.integration.listening import listening

#: The tests' router drives 36 km/h as the crow flies.
MPS: Final = 10.0
NEVER_S: Final = 3_600.0
QUICK: Final = Policy(timeout_s=30.0, pause_s=0.001, pause_s_max=0.01)
#: For a server that never answers: what is waited in vain for.
IMPATIENT: Final = Policy(timeout_s=0.05, pause_s=NEVER_S, pause_s_max=NEVER_S)

Place = tuple[float, float]


def leg(from_km: float, to_km: float, van: str | None = None) -> Leg:
    """Return a leg along a meridian."""
    return Leg(van, 48 + from_km / 111, 2.0, 48 + to_km / 111, 2.0)


def seconds(asked: Leg) -> float:
    """Return what the tests' router says of a leg."""
    (lon, lat), (to_lon, to_lat) = asked.origin, asked.goal
    return round(distance_m(lat, lon, to_lat, to_lon) / MPS, 1)


@dataclass(frozen=True)
class Asked:
    """One request, as the server understood it."""

    places: list[Place]
    sources: list[int]
    destinations: list[int]
    annotations: list[str]


Reply = tuple[int, bytes]


@dataclass
class Osrm:
    """A table service on loopback: says what OSRM would, unless told to misbehave."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    coordinates_max: int = 100
    off_map: set[Place] = field(default_factory=set)
    no_road_to: set[Place] = field(default_factory=set)
    breaks_on: set[Place] = field(default_factory=set)
    hangs_on: set[Place] = field(default_factory=set)
    misbehave: Callable[[Reply], Reply] | None = None
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                status, body = self.table(line.decode().split()[1])
                await self.is_open.wait()
                if self.hangs_on.intersection(self.asked[-1].places):
                    await reader.read()  # until the client hangs up
                if self.misbehave:
                    status, body = self.misbehave((status, body))
                head = f"HTTP/1.1 {status} So\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def table(self, target: str) -> Reply:
        url = urlsplit(target)
        service, version, profile, coordinates = unquote(url.path).strip("/").split("/")
        assert (service, version, profile) == ("table", "v1", "driving")
        query = parse_qs(url.query)
        places: list[Place] = []
        for pair in coordinates.split(";"):
            lon, lat = map(float, pair.split(","))
            places.append((lon, lat))
        sources, destinations = (
            [int(index) for index in query[name][0].split(";")]
            for name in ("sources", "destinations")
        )
        self.asked.append(Asked(places, sources, destinations, query["annotations"]))
        if len(places) > self.coordinates_max:
            return 400, b'{"code":"TooBig","message":"Too many table coordinates"}'
        if self.breaks_on.intersection(places):
            return 500, b"oops"
        if self.off_map.intersection(places):
            return 400, b'{"code":"NoSegment","message":"Could not find a matching segment"}'
        durations = [
            [self.seconds(places[source], places[goal]) for goal in destinations]
            for source in sources
        ]
        return 200, json.dumps({"code": "Ok", "durations": durations, "sources": []}).encode()

    def seconds(self, origin: Place, goal: Place) -> float | None:
        if goal in self.no_road_to:
            return None
        return round(distance_m(origin[1], origin[0], goal[1], goal[0]) / MPS, 1)


@pytest.fixture
async def osrm() -> AsyncIterator[Osrm]:
    service = Osrm()
    service.is_open.set()
    async with listening(service.serve) as service.port:
        yield service
        service.is_open.set()


@dataclass
class Hours:
    """A clock that a test turns, s."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def running(router: Router) -> AsyncIterator[Router]:
    stop = asyncio.Event()
    task = asyncio.create_task(router.run(stop))
    try:
        yield router
    finally:
        stop.set()
        await task


async def until(condition: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait until something holds, or fail."""
    async with asyncio.timeout(within_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


# ---- what is asked and kept


async def test_what_is_asked_is_known_soon_after(osrm: Osrm) -> None:
    legs = [leg(0, 5, "van-1"), leg(5, 8), leg(8, 20)]
    async with running(Router(osrm.url + "/", QUICK)) as router:
        assert router.known(legs) == {}
        router.ask(legs)
        await until(lambda: len(router.known(legs)) == 3)
        known = router.known(legs)
    assert {asked: answer.travel_s for asked, answer in known.items()} == {
        asked: seconds(asked) for asked in legs
    }
    [request] = osrm.asked
    assert len(request.places) == 4
    assert request.annotations == ["duration"]
    assert (len(request.sources), len(request.destinations)) == (3, 3)


async def test_there_and_back_are_two_legs(osrm: Osrm) -> None:
    osrm.no_road_to.add(leg(5, 0).goal)
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask([leg(0, 5), leg(5, 0)])
        await until(lambda: router.known([leg(0, 5)]))
        assert router.known([leg(5, 0)]) == {}


async def test_a_leg_without_a_road_is_unknown_and_is_not_asked_again(osrm: Osrm) -> None:
    osrm.no_road_to.add(leg(0, 7).goal)
    clock = Hours()
    legs = [leg(0, 7), leg(0, 5), leg(1, 7, "van-1")]
    async with running(Router(osrm.url, QUICK, clock)) as router:
        router.ask(legs)
        await until(lambda: router.known(legs))
        clock.now_s += QUICK.van_again_s
        router.ask(legs)
        assert router.waiting == 0
        assert list(router.known(legs)) == [legs[1]]


async def test_site_to_site_is_good_for_a_day(osrm: Osrm) -> None:
    clock, between = Hours(), [leg(0, 5)]
    async with running(Router(osrm.url, QUICK, clock)) as router:
        router.ask(between)
        await until(lambda: router.known(between))
        clock.now_s += QUICK.site_s - 1
        router.ask(between)
        assert router.waiting == 0
        assert router.known(between)
        clock.now_s += 1
        assert router.known(between) == {}
        router.ask(between)
        await until(lambda: router.known(between))
    assert len(osrm.asked) == 2


async def test_a_van_that_drove_on_scales_its_old_answer_until_a_newer_one_is_there(
    osrm: Osrm,
) -> None:
    clock, before, after = Hours(), leg(0, 10, "van-1"), leg(5, 10, "van-1")
    async with running(Router(osrm.url, QUICK, clock)) as router:
        router.ask([before])
        await until(lambda: router.known([before]))
        answer = router.known([after])[after]
        assert answer.asked == before
        assert answer.rest_s(after.from_latitude_deg, after.from_longitude_deg) == pytest.approx(
            seconds(after), rel=0.01
        )
        router.ask([after])
        assert router.waiting == 0
        clock.now_s += QUICK.van_again_s
        router.ask([after])
        assert router.known([after])[after] == answer
        await until(lambda: router.known([after])[after].asked == after)
        assert router.known([after])[after].travel_s == seconds(after)
        clock.now_s += QUICK.van_s
        assert router.known([after]) == {}


async def test_answers_of_two_vans_to_one_stop_are_two(osrm: Osrm) -> None:
    legs = [leg(0, 10, "van-1"), leg(5, 10, "van-2")]
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask(legs)
        await until(lambda: len(router.known(legs)) == 2)
        assert [router.known(legs)[asked].travel_s for asked in legs] == list(map(seconds, legs))


def test_an_answer_that_was_asked_for_at_the_gate_does_not_jump() -> None:
    at_gate = Answer(30.0, leg(9.999, 10, "van-1"))
    assert at_gate.rest_s(48 + 10 / 111, 2.0) == pytest.approx(0, abs=0.01)
    assert at_gate.rest_s(48 + 9.9 / 111, 2.0) < 120


async def test_no_request_has_more_places_than_the_router_allows(osrm: Osrm) -> None:
    tours = [
        [
            leg(100 * van + stop, 100 * van + stop + 1, str(van) if stop == 0 else None)
            for stop in range(6)
        ]
        for van in range(40)
    ]
    legs = [asked for tour in tours for asked in tour]
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask(legs)
        await until(lambda: len(router.known(legs)) == len(legs))
        assert {asked: answer.travel_s for asked, answer in router.known(legs).items()} == {
            asked: seconds(asked) for asked in legs
        }
    assert all(len(request.places) <= 100 for request in osrm.asked)
    assert len(osrm.asked) == 3  # 280 places


def test_a_leg_joins_the_request_that_has_room_for_it() -> None:
    legs = [leg(0, 1), leg(1, 2), leg(10, 11), leg(2, 0), leg(11, 10)]
    assert batches_of(legs, 3) == [[legs[2], legs[4]], [legs[0], legs[1], legs[3]]]


async def test_a_router_with_a_smaller_limit_is_asked_for_less(osrm: Osrm) -> None:
    osrm.coordinates_max = 30
    legs = [leg(2 * i, 2 * i + 1) for i in range(60)]
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask(legs)
        await until(lambda: len(router.known(legs)) == 60)
        assert not router.is_away
        refused = len(osrm.asked)
        more = [leg(2 * i, 2 * i + 1.5) for i in range(60)]
        router.ask(more)
        await until(lambda: len(router.known(more)) == 60)
    assert all(len(request.places) <= 30 for request in osrm.asked[refused:])


async def test_no_position_is_logged(osrm: Osrm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask([leg(0, 5)])
        await until(lambda: router.known([leg(0, 5)]))
    assert caplog.messages == []


# ---- limits in memory


def test_beyond_the_limit_the_oldest_question_is_forgotten() -> None:
    router = Router("http://127.0.0.1:9", Policy(queue_max=3))
    router.ask(leg(0, to) for to in range(1, 6))
    assert router.waiting == 3
    assert [asked.goal for asked in router._waiting.values()] == [
        leg(0, to).goal for to in (3, 4, 5)
    ]
    router.ask([leg(0, 3)])
    assert [asked.goal for asked in router._waiting.values()] == [
        leg(0, to).goal for to in (4, 5, 3)
    ]


def test_of_two_questions_of_a_van_the_newer_is_asked() -> None:
    router = Router("http://127.0.0.1:9")
    router.ask([leg(0, 10, "van-1")])
    router.ask([leg(1, 10, "van-1")])
    assert list(router._waiting.values()) == [leg(1, 10, "van-1")]


def test_who_is_there_asks_nothing() -> None:
    router = Router("http://127.0.0.1:9")
    router.ask([leg(5, 5, "van-1")])
    assert router.waiting == 0


async def test_beyond_the_limit_the_oldest_answer_is_forgotten(osrm: Osrm) -> None:
    legs = [leg(0, to) for to in range(1, 6)]
    async with running(Router(osrm.url, Policy(cache_max=3, timeout_s=30.0))) as router:
        for asked in legs:
            router.ask([asked])
            await until(lambda asked=asked: router.known([asked]))
        assert list(router.known(legs)) == legs[2:]


async def test_without_a_url_nobody_is_asked() -> None:
    async with running(Router("")) as router:
        router.ask([leg(0, 5)])
        assert router.waiting == 0
        assert router.known([leg(0, 5)]) == {}


# ---- what fails


async def test_a_router_that_does_not_answer_is_given_up_and_nothing_waits_for_it(
    osrm: Osrm,
) -> None:
    osrm.is_open.clear()
    legs = [leg(0, 5), leg(5, 9, "van-1")]
    with capture_logs() as logs:
        async with running(Router(osrm.url, IMPATIENT)) as router:
            router.ask(legs)
            await until(lambda: router.is_away)
            assert router.known(legs) == {}
            assert router.waiting == 2
    assert [(entry["log_level"], entry["error"]) for entry in logs] == [("warning", "TimeoutError")]


async def test_while_the_pause_lasts_nobody_is_asked(osrm: Osrm) -> None:
    osrm.misbehave = lambda _: (503, b"")
    async with running(Router(osrm.url, Policy(timeout_s=30.0, pause_s=NEVER_S))) as router:
        router.ask([leg(0, 5)])
        await until(lambda: router.is_away)
        asked = len(osrm.asked)
        router.ask([leg(0, 6)])
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(osrm.asked) == asked
        assert router.waiting == 2


async def test_nobody_listens_at_all() -> None:
    port = free_port()
    with capture_logs() as logs:
        async with running(Router(f"http://127.0.0.1:{port}", QUICK)) as router:
            router.ask([leg(0, 5)])
            await until(lambda: router._failures >= 3)
    assert [entry["log_level"] for entry in logs] == ["warning"]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:1", "ftp://127.0.0.1", "http://[", "http://127.0.0.1:x"]
)
async def test_a_url_that_is_none_is_a_router_that_is_away(url: str) -> None:
    async with running(Router(url, IMPATIENT)) as router:
        router.ask([leg(0, 5)])
        await until(lambda: router.is_away)


def _durations(value: Any) -> Callable[[Reply], Reply]:
    return lambda _: (200, json.dumps({"code": "Ok", "durations": value}).encode())


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda _: (500, b"oops"),
        lambda reply: (500, reply[1]),
        lambda _: (200, b"<html>a proxy's page</html>"),
        lambda _: (200, b""),
        lambda _: (200, b"[]"),
        lambda _: (200, b'{"durations": [[1.0]]}'),
        lambda _: (200, b'{"code": "Ok"}'),
        lambda _: (200, b"\xff\xfe"),
        lambda _: (400, b'{"code": "InvalidUrl", "message": "no such profile"}'),
        lambda reply: (302, reply[1]),
        _durations([[1.0, 2.0]]),
        _durations([[1.0], [2.0]]),
        _durations([["1.0"]]),
        _durations([[-1.0]]),
        _durations([[1e300]]),
        _durations(None),
    ],
)
async def test_a_wrong_answer_is_none_said_once_and_recovered_from(
    osrm: Osrm, misbehave: Callable[[Reply], Reply]
) -> None:
    osrm.misbehave = misbehave
    asked = [leg(0, 5)]
    with capture_logs() as logs:
        async with running(Router(osrm.url, QUICK)) as router:
            router.ask(asked)
            await until(lambda: router._failures >= 3)
            assert router.known(asked) == {}
            osrm.misbehave = None
            await until(lambda: router.known(asked))
            assert not router.is_away
            assert router.known(asked)[asked[0]].travel_s == seconds(asked[0])
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]


async def test_what_failed_waits_behind_what_was_asked_later_and_gives_way_to_the_newer(
    osrm: Osrm,
) -> None:
    osrm.is_open.clear()
    osrm.misbehave = lambda _: (503, b"")
    old, other, new = leg(0, 10, "van-1"), leg(0, 5), leg(4, 10, "van-1")
    async with running(Router(osrm.url, Policy(timeout_s=30.0, pause_s=NEVER_S))) as router:
        router.ask([old])
        await until(lambda: osrm.asked)
        router.ask([other, new])  # the van is being asked about
        assert list(router._waiting.values()) == [other]
        osrm.is_open.set()
        await until(lambda: router.is_away)
        assert list(router._waiting.values()) == [other, old]
        router.ask([new])
        assert list(router._waiting.values()) == [other, new]


async def test_a_place_off_the_map_costs_only_itself(osrm: Osrm) -> None:
    legs = [leg(0, to) for to in range(1, 30)]
    osrm.off_map.add(leg(0, 13).goal)
    with capture_logs() as logs:
        async with running(Router(osrm.url, QUICK)) as router:
            router.ask(legs)
            await until(lambda: len(router.known(legs)) == 28)
            assert leg(0, 13) not in router.known(legs)
            await until(lambda: not router._asked)
            router.ask(legs)
            assert router.waiting == 0
    assert logs == []
    assert len(osrm.asked) < 12


async def test_a_router_that_finds_two_places_too_many_is_away(osrm: Osrm) -> None:
    osrm.coordinates_max = 1
    async with running(Router(osrm.url, IMPATIENT)) as router:
        router.ask([leg(0, 5), leg(5, 9)])
        await until(lambda: router.is_away)
        assert router.waiting == 2


async def test_stopping_does_not_wait_for_the_router(osrm: Osrm) -> None:
    osrm.is_open.clear()
    stop = asyncio.Event()
    router = Router(osrm.url, Policy(timeout_s=NEVER_S))
    task = asyncio.create_task(router.run(stop))
    router.ask([leg(0, 5)])
    await until(lambda: osrm.asked)
    stop.set()
    async with asyncio.timeout(30):
        await task
    assert router.waiting == 1


# ---- what fails alone


def far_apart(count: int, from_km: float = 0.0) -> list[Leg]:
    """Return legs of which a request of 100 places has room for 50."""
    return [leg(from_km + 2 * i, from_km + 2 * i + 1) for i in range(count)]


async def ask_on(router: Router, condition: Callable[[], object]) -> None:
    """Ask for new legs, as a fleet does, until something holds."""
    new = iter(far_apart(10_000, 1_000))

    def holds() -> bool:
        router.ask([next(new)])
        return bool(condition())

    await until(holds)


@pytest.mark.parametrize("nth", [0, 7, 149])
async def test_a_request_that_always_fails_stops_nobody_behind_it(osrm: Osrm, nth: int) -> None:
    legs = far_apart(150)
    osrm.breaks_on.add(legs[nth].goal)
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask(legs)
        await ask_on(router, lambda: len(router.known(legs)) == 149)
        assert legs[nth] not in router.known(legs)


async def test_a_request_that_is_never_answered_stops_nobody_behind_it(osrm: Osrm) -> None:
    legs = far_apart(60)
    osrm.hangs_on.add(legs[20].goal)
    policy = Policy(timeout_s=0.4, pause_s=0.001, pause_s_max=0.01)
    async with running(Router(osrm.url, policy)) as router:
        router.ask(legs)
        await ask_on(router, lambda: len(router.known(legs)) == 59)


async def test_a_leg_that_always_fails_is_given_up_and_asked_again_when_it_would_be_anyway(
    osrm: Osrm,
) -> None:
    clock, legs = Hours(), far_apart(40)
    bad = legs[11]
    osrm.breaks_on.add(bad.goal)
    async with running(Router(osrm.url, QUICK, clock)) as router:
        router.ask(legs)
        await ask_on(router, lambda: bad.key in router._kept)
        await until(lambda: router.waiting == 0)
        assert set(router.known(legs)) == set(legs) - {bad}
        failed = [len(asked.places) for asked in osrm.asked if bad.goal in asked.places]
        assert failed == sorted(failed, reverse=True)
        assert failed[-1] == 2
        assert len(failed) <= 12
        router.ask([bad])
        assert router.waiting == 0
        osrm.breaks_on.clear()
        clock.now_s += QUICK.site_s
        router.ask([bad])
        await until(lambda: router.known([bad]))


async def test_many_legs_that_always_fail_leave_the_others_to_be_answered(osrm: Osrm) -> None:
    legs = far_apart(80)
    osrm.breaks_on |= {asked.goal for asked in legs[::5]}
    good = [asked for asked in legs if asked.goal not in osrm.breaks_on]
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask(legs)
        await ask_on(router, lambda: len(router.known(good)) == len(good))


async def test_a_router_that_is_away_costs_no_leg_its_question(
    osrm: Osrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause doubles, and all is answered when it is back."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(delay_s: float) -> None:
        if delay_s >= 1_000:
            pauses.append(delay_s)
        await sleep(0 if delay_s >= 1_000 else delay_s)

    monkeypatch.setattr(asyncio, "sleep", pause)
    one, legs = leg(0, 1), far_apart(150, 10)
    policy = Policy(timeout_s=30.0, pause_s=1_000.0, pause_s_max=50_000.0)
    async with running(Router(osrm.url, policy)) as router:
        router.ask([one])
        await until(lambda: router.known([one]))
        osrm.misbehave = lambda _: (503, b"")
        router.ask(legs[:1])
        await until(lambda: router.is_away)
        router.ask(legs)
        await until(lambda: len(pauses) >= 40)
        assert set(router.known([one, *legs])) == {one}
        assert router.waiting + len(router._asked) == 150
        osrm.misbehave = None
        before = len(osrm.asked)
        await until(lambda: len(router.known(legs)) == 150)
    assert pauses[:8] == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 50_000, 50_000]
    assert set(pauses[8:]) == {50_000}
    assert len(osrm.asked) - before < 10


async def test_a_newer_question_of_a_van_takes_the_place_of_one_that_failed(osrm: Osrm) -> None:
    old, new = leg(0, 10, "van-1"), leg(4, 10, "van-1")
    osrm.breaks_on.add(old.origin)
    async with running(Router(osrm.url, QUICK)) as router:
        router.ask([old])
        await until(lambda: router.is_away)
        await until(lambda: router.ask([new]) or router.known([new]))
