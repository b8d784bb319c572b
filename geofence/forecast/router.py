"""Travel times from a router of one's own, asked beside the work and never waited for.

Any server will do that speaks OSRM's table service (project-osrm.org, HTTP API, "Table service"):

    GET /table/v1/driving/{lon},{lat};{lon},{lat};...?annotations=duration&sources=0;1&destinations=2
    {"code": "Ok", "durations": [[seconds or null, ...], ...]}        a row a source

Who forecasts says what he would like to know (`ask`) and takes what there is (`known`); both return
at once. `run` carries questions to the router: as many legs a request as 100 coordinates allow
(OSRM's default limit), one request at a time.

| leg             | kept by     | asked again after         | good for |
| --------------- | ----------- | ------------------------- | -------- |
| site to site    | (from, to)  | a day                     | a day    |
| van to its stop | (van, stop) | 1 min; 30 if unknown      | 30 min   |

A van drives on after it has asked: its answer knows from where it was asked, and `Answer.rest_s`
scales it by the crow-fly distance that is left.

*What fails.* No answer in time, none at all, or not what the service promises: the router is *away*.
One warning says so, the questions are kept, and nobody asks until a pause is over that doubles with
each failure; when it answers again, one line says that. A router that refuses a request because of a
place (`NoSegment`, `NoTable`) is not away: the legs are asked by halves until the culprit is alone,
which then counts as unknown, as does a leg without a road (`null`). `TooBig` halves the limit.

*What fails alone.* A request that fails waits behind all others, and is asked again in halves. If others
are answered meanwhile, it is to blame: it is halved each time, so that after some rounds a culprit is
alone. One that has failed `TRIES_MAX` times so counts as unknown too. While nothing is answered nobody
is to blame: a router that is away costs no leg its question.

Whatever is unknown is left to the fleet's own travel times (`geofence.forecast.travel`).

It knows nothing of tours or of the database; which router is a setting, and an empty one asks nobody.
The environment's proxies are not used. The router sees where vans are: let it be a trusted one.
"""

import asyncio
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import httpx
import msgspec
import structlog

from geofence.fences import distance_m

#: The router refuses what it was asked about, not to answer.
ABOUT_PLACES: Final = frozenset({"NoSegment", "NoTable"})
TOO_BIG: Final = "TooBig"
#: A van that is nearer than this is as good as there; what scales by its distance would jump.
NEAR_M: Final = 50.0

#: `_table` limits the whole of a request; httpx would limit each of its parts.
NO_TIMEOUT: Final = httpx.Timeout(None)
#: Failures of a leg, each after an answer to others, before it is given up if it is alone.
TRIES_MAX: Final = 3
#: A leg is put into one of the newest so many requests that has room for it.
LOOK_BACK: Final = 8

log = structlog.get_logger()
# httpx logs every address that it asks, and these hold where vans are.
logging.getLogger("httpx").setLevel(logging.WARNING)

Place = tuple[float, float]
"""Longitude and latitude, WGS 84 degrees to 1 m: OSRM's order."""


@dataclass(frozen=True, slots=True)
class Leg:
    """From where to where, WGS 84 degrees; `van` is None from site to site."""

    van: Hashable | None
    from_latitude_deg: float
    from_longitude_deg: float
    to_latitude_deg: float
    to_longitude_deg: float

    @property
    def origin(self) -> Place:
        """Where it begins, to 1 m."""
        return round(self.from_longitude_deg, 5), round(self.from_latitude_deg, 5)

    @property
    def goal(self) -> Place:
        """Where it ends, to 1 m."""
        return round(self.to_longitude_deg, 5), round(self.to_latitude_deg, 5)

    @property
    def key(self) -> "Key":
        """Under which its answer is kept: a van's is the same wherever it asks from."""
        return (self.origin if self.van is None else self.van), self.goal


Key = tuple[Hashable, Place]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a router says of a leg.

    Attributes:
        travel_s: From where it was asked to the goal.
        asked: The leg as it was asked.
    """

    travel_s: float
    asked: Leg

    def rest_s(self, latitude_deg: float, longitude_deg: float) -> float:
        """Return the seconds from another place on the way, WGS 84 degrees: its share of metres."""
        leg = self.asked
        asked_m = distance_m(
            leg.from_latitude_deg, leg.from_longitude_deg, leg.to_latitude_deg, leg.to_longitude_deg
        )
        rest_m = distance_m(latitude_deg, longitude_deg, leg.to_latitude_deg, leg.to_longitude_deg)
        return self.travel_s * rest_m / max(asked_m, NEAR_M)


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits. Times are in seconds.

    Attributes:
        timeout_s: For a whole request, from connecting to the last byte.
        pause_s: After the first failure; doubles with each further one, ...
        pause_s_max: ... up to this.
        queue_max: Legs that wait to be asked; beyond it the oldest question is forgotten.
        cache_max: Answers kept; beyond it the oldest is forgotten.
        coordinates_max: In one request.
        site_s: How long an answer from site to site is good.
        van_s: How long an answer from a van to its stop is good.
        van_again_s: How soon a van may ask for a newer one.
    """

    timeout_s: float = 5.0
    pause_s: float = 5.0
    pause_s_max: float = 300.0
    queue_max: int = 4_000
    cache_max: int = 50_000
    coordinates_max: int = 100
    site_s: float = 86_400.0
    van_s: float = 1_800.0
    van_again_s: float = 60.0


class Table(msgspec.Struct):
    """An answer of the table service."""

    code: str
    durations: list[list[float | None]] = []


class AwayError(Exception):
    """The router did not answer, or not as the service promises."""


class RefusedError(Exception):
    """The router refuses the places or the size of a request; `code` says which."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was learnt of a leg and when, s of the clock; `travel_s` is None if there is no road."""

    travel_s: float | None
    asked: Leg
    at_s: float


class Router:
    """What a router has said, and what it is still to be asked.

    Of one event loop: `known` and `ask` are called from it, and `run` is a task of it.

    Attributes:
        is_away: Whether the last request failed.
    """

    def __init__(
        self,
        url: str,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._policy = policy or Policy()
        self._clock = clock
        self._coordinates_max = self._policy.coordinates_max
        self._waiting: OrderedDict[Key, Leg] = OrderedDict()
        self._asked: dict[Key, Leg] = {}
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._something = asyncio.Event()
        self._failures = 0
        self._tries: dict[Key, int] = {}

    @property
    def is_away(self) -> bool:
        """Whether the last request failed."""
        return self._failures > 0

    @property
    def waiting(self) -> int:
        """How many legs wait to be asked."""
        return len(self._waiting)

    def known(self, legs: Iterable[Leg]) -> dict[Leg, Answer]:
        """Return what is known of these legs and still good; what is not is not among them."""
        now_s = self._clock()
        answers = {}
        for leg in legs:
            kept = self._kept.get(leg.key)
            if kept is None or kept.travel_s is None:
                continue
            if now_s - kept.at_s < self._good_s(leg):
                answers[leg] = Answer(kept.travel_s, kept.asked)
        return answers

    def ask(self, legs: Iterable[Leg]) -> None:
        """Put legs that are not known, or known for a while, where `run` will ask for them."""
        if not self._url:
            return
        now_s = self._clock()
        for leg in legs:
            key = leg.key
            kept = self._kept.get(key)
            is_fresh = kept is not None and now_s - kept.at_s < self._again_s(leg, kept)
            if is_fresh or key in self._asked or leg.origin == leg.goal:
                continue
            self._waiting[key] = leg
            self._waiting.move_to_end(key)
        self._bound()

    def _bound(self) -> None:
        while len(self._waiting) > self._policy.queue_max:
            self._waiting.popitem(last=False)
        if self._waiting:
            self._something.set()

    def _good_s(self, leg: Leg) -> float:
        return self._policy.site_s if leg.van is None else self._policy.van_s

    def _again_s(self, leg: Leg, kept: _Kept) -> float:
        if leg.van is None or kept.travel_s is None:
            return self._good_s(leg)
        return self._policy.van_again_s

    async def run(self, stop: asyncio.Event) -> None:
        """Carry questions to the router until `stop` is set; a request under way is given up."""
        limits = httpx.Limits(max_connections=1)
        async with (
            httpx.AsyncClient(trust_env=False, limits=limits, timeout=NO_TIMEOUT) as client,
            asyncio.TaskGroup() as group,
        ):
            asking = group.create_task(self._ask_on(client), name="router")
            await stop.wait()
            asking.cancel()

    async def _ask_on(self, client: httpx.AsyncClient) -> None:
        while True:
            await self._something.wait()
            try:
                await self._round(client)
            except AwayError as error:
                self._failures += 1
                if self._failures == 1:
                    log.warning(
                        "router away, the fleet's own travel times are used", error=str(error)
                    )
                doublings = min(self._failures - 1, 20)
                await asyncio.sleep(
                    min(self._policy.pause_s * 2**doublings, self._policy.pause_s_max)
                )

    async def _round(self, client: httpx.AsyncClient) -> None:
        """Ask all that waits, in as few requests as it takes; what has failed before comes last.

        Raises:
            AwayError: What was not answered waits again, before what was asked meanwhile.
        """
        self._something.clear()
        self._asked, self._waiting = dict(self._waiting), OrderedDict()
        batches = self._batches()
        failed: dict[Key, Leg] = {}
        try:
            while batches:
                legs = batches.pop()
                try:
                    seconds = await self._table(client, legs)
                except RefusedError as refused:
                    batches += self._smaller(legs, refused)
                else:
                    self._learn(legs, seconds)
                self._answered()
        except AwayError:
            self._blame(legs)
            failed = {key: self._asked.pop(key) for leg in legs if (key := leg.key) in self._asked}
            raise
        finally:
            self._waiting, self._asked = OrderedDict(self._asked | self._waiting | failed), {}
            self._tries = {key: n for key, n in self._tries.items() if key in self._waiting}
            self._bound()

    def _batches(self) -> list[list[Leg]]:
        """Return the requests to make, from the end on."""
        by_tries: dict[int, list[Leg]] = defaultdict(list)
        for key, leg in self._asked.items():
            by_tries[self._tries.get(key, 0)].append(leg)
        return [
            batch
            for tries in sorted(by_tries, reverse=True)
            for batch in batches_of(by_tries[tries], max(2, self._coordinates_max >> tries))
        ]

    def _blame(self, legs: Sequence[Leg]) -> None:
        """Hold a failure against its legs: once, and again each time that the router answers others."""
        for leg in legs:
            before = self._tries.get(leg.key, 0)
            self._tries[leg.key] = before + (not self.is_away or before == 0)
        if not self.is_away and len(legs) == 1 and self._tries[legs[0].key] >= TRIES_MAX:
            log.warning("router fails on a leg, the fleet's own travel times are used")
            self._learn(legs, [None])

    def _smaller(self, legs: list[Leg], refused: RefusedError) -> list[list[Leg]]:
        """Return what to ask instead of a refused request; nothing if the culprit is found."""
        if refused.code == TOO_BIG:
            places = len(_places(legs))
            if places <= 2:
                raise AwayError(TOO_BIG) from refused
            self._coordinates_max = min(self._coordinates_max, max(2, places // 2))
            return batches_of(legs, self._coordinates_max)
        if len(legs) == 1:
            self._learn(legs, [None])
            return []
        middle = len(legs) // 2
        return [legs[middle:], legs[:middle]]

    def _learn(self, legs: Sequence[Leg], seconds: Sequence[float | None]) -> None:
        now_s = self._clock()
        for leg, travel_s in zip(legs, seconds, strict=True):
            key = leg.key
            self._kept[key] = _Kept(travel_s, leg, now_s)
            self._kept.move_to_end(key)
            self._asked.pop(key, None)
        while len(self._kept) > self._policy.cache_max:
            self._kept.popitem(last=False)

    def _answered(self) -> None:
        if self._failures:
            log.info("router answers again", failures=self._failures)
        self._failures = 0

    async def _table(self, client: httpx.AsyncClient, legs: Sequence[Leg]) -> list[float | None]:
        """Return the seconds of each leg, by one request; None where there is no road.

        Raises:
            AwayError: No answer, or one that is no table.
            RefusedError: The router does not like the places, or there are too many.
        """
        index = {place: i for i, place in enumerate(_places(legs))}
        row = {place: i for i, place in enumerate(dict.fromkeys(leg.origin for leg in legs))}
        column = {place: i for i, place in enumerate(dict.fromkeys(leg.goal for leg in legs))}
        coordinates = ";".join(f"{lon:.5f},{lat:.5f}" for lon, lat in index)
        sources = ";".join(str(index[place]) for place in row)
        destinations = ";".join(str(index[place]) for place in column)
        url = (
            f"{self._url}/table/v1/driving/{coordinates}"
            f"?annotations=duration&sources={sources}&destinations={destinations}"
        )
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                response = await client.get(url)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise AwayError(type(error).__name__) from error
        durations = _durations(response, len(row), len(column))
        return [durations[row[leg.origin]][column[leg.goal]] for leg in legs]


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Router | None]:
    """Run a router's client while the block runs; None for an empty `url`."""
    if not url:
        yield None
        return
    router = Router(url)
    task = asyncio.create_task(router.run(asyncio.Event()), name="router")
    try:
        yield router
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _places(legs: Iterable[Leg]) -> list[Place]:
    """Return the places that legs touch, each once."""
    return list(dict.fromkeys(place for leg in legs for place in (leg.origin, leg.goal)))


def batches_of(legs: Sequence[Leg], coordinates_max: int) -> list[list[Leg]]:
    """Return legs in requests of at most so many places, each where there is room for it.

    What is asked together, like a van's tour, shares places and should come together. The requests
    are in the order in which to take them from the end.
    """
    batches: list[tuple[list[Leg], set[Place]]] = []
    for leg in legs:
        ends = {leg.origin, leg.goal}
        with_room = (
            (batch, places)
            for batch, places in batches[-LOOK_BACK:]
            if len(places) + len(ends - places) <= coordinates_max
        )
        batch, places = next(with_room, ([], set()))
        if not batch:
            batches.append((batch, places))
        batch.append(leg)
        places |= ends
    return [batch for batch, _ in reversed(batches)]


def _durations(response: httpx.Response, rows: int, columns: int) -> list[list[float | None]]:
    """Return the table in a response, of shape (rows, columns), s. Raises as `_table` does."""
    try:
        table = msgspec.json.decode(response.content, type=Table)
    except msgspec.DecodeError as error:
        raise AwayError(f"status {response.status_code}, no table") from error
    if table.code in ABOUT_PLACES or table.code == TOO_BIG:
        raise RefusedError(table.code)
    if response.status_code != httpx.codes.OK or table.code != "Ok":
        raise AwayError(f"status {response.status_code}, code {table.code[:40]}")
    if [len(row) for row in table.durations] != [columns] * rows:
        raise AwayError("a table of another shape")
    if any(cell is not None and not 0 <= cell < 1e7 for row in table.durations for cell in row):
        raise AwayError("durations that cannot be")
    return table.durations
