"""The whole system on one machine, with a simulated fleet: servers, services, panel, report.

What it keeps is under one folder: the servers' data, `world.json` (what the fleet's world is made
of), `clock.json` (how far simulated time has come), `truth.jsonl` (what really happened) and a log
for each process. A second run goes on from there, at the simulated moment at which the first ended.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from threading import Event

import psycopg
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops import embedded, panel, people, ready
from ops.services import Services, environment
from ops.world import REFERENCE, SATURDAY, TIME_ZONE, WorldFile, is_known, new_world, read_world
from storage.pool import connect, migrate
from storage.settings import Clock, Settings, as_datetime, as_ms, clock, real_ms

#: What is simulated of a day, local: from when the vans have just left home until all are back.
MORNING = time_of_day(7, 10)
EVENING = time_of_day(20, 0)

#: For each van the fleet takes this long to plan its day; the simulated clock stands until then.
FLEET_GETS_READY_MS = 40

#: Who signs in to the demo's page.
ADMIN = "admin"

console = Console()


class DemoError(RuntimeError):
    """The demo cannot go on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    exit_after: float | None
    speed: float
    report: Path | None
    vans: int
    sites: int
    seed: int
    port: int
    folder: Path
    credentials: bool


def run(plan: Plan) -> int:
    """Run until Ctrl-C or `exit_after`; return the process's exit code.

    Raises:
        DemoError: The folder holds another world, or another demo is running in it.
        embedded.ServerError: A server did not start, or died.
    """
    began = time.monotonic()
    plan.folder.mkdir(parents=True, exist_ok=True)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        stack.enter_context(_alone(plan.folder))
        with _progress() as step:
            step("Starting PostgreSQL and NATS")
            locked = ""
            if plan.credentials:
                from ops import doors  # noqa: PLC0415  imports what makes the world, and few want it

                locked = doors.lock(plan.folder)
            servers = stack.enter_context(embedded.servers(plan.folder, nats_more=locked))
            world = _world(plan)
            settings = _settings(plan, servers)
            step("Bringing the database up to date")
            door = None
            if plan.credentials:
                migrate(settings.database_url)
                door = doors.Doors(settings, plan.folder, servers.nats)
                door.let_services_in()
            asyncio.run(ready.prepare(door.as_service("ingest") if door else settings))
            _seed(plan, world, settings, step)
            services = Services(settings, plan.folder, logins=door.logins if door else {})
            stack.callback(services.stop_all)
            step("Starting ingest, relay, API and the fleet")
            logins = ("--logins", str(door.let_fleet_in())) if door else ()
            _begin_day(plan, world, services, logins)
        address = f"http://127.0.0.1:{settings.api_port}/"
        sign_in = asyncio.run(_admin(settings))
        console.print(
            f"[bold green]Ready[/] after {time.monotonic() - began:.1f} s. Open [bold]{address}[/]"
            f"   {sign_in}",
            soft_wrap=True,  # a password that is broken in two cannot be copied
        )
        _watch(plan, world, servers, services, logins, address, sign_in, stop)
        return _finish(plan, services, world)


async def _admin(settings: Settings) -> str:
    """Make the first user of a fresh folder, and return how to sign in; no password is kept."""
    async with (
        connect(settings.database_url, "cordee-demo", size_max=1) as pool,
        pool.connection() as conn,
    ):
        admin = people.Person(login=ADMIN, role="admin")
        if await people.is_known(conn, admin):  # asked first: hashing a password takes its time
            url = settings.database_url
            return (
                f"user {ADMIN}, with the password of the first run; for a new one:"
                f" CORDEE_DATABASE_URL={url} cordee user password {ADMIN}"
            )
        password = await people.add_user(conn, admin)
    return f"user [bold]{ADMIN}[/], password [bold]{password}[/] (shown this once)"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse to run twice in one folder."""
    mark = folder / "demo.pid"
    if mark.exists():
        other = int(mark.read_text() or 0)
        with suppress(ProcessLookupError):
            os.kill(other, 0)
            raise DemoError(
                f"A demo runs in {folder} already (process {other}): stop it with Ctrl-C there,"
                " or give this one a folder of its own with --folder."
            )
    mark.write_text(str(os.getpid()))
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done while somebody waits; yields the way to say it.

    Where nobody watches a terminal each step is a line of its own, with the seconds until it began.
    """
    began = time.monotonic()
    with Progress(
        SpinnerColumn(), TextColumn("{task.description:<48}"), BarColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("", total=5 + len(REFERENCE))

        def step(what: str) -> None:
            progress.update(task, description=what, advance=1)
            if not console.is_terminal:
                console.print(f"{time.monotonic() - began:6.2f} s  {what}", highlight=False)

        yield step


def _world(plan: Plan) -> WorldFile:
    """Return the world the plan asks for, with the first day that the folder's world began with."""
    asked = new_world(plan.seed, plan.vans, plan.sites)
    known = read_world(plan.folder / "world.json")
    if known is None:
        return asked
    if (known.seed, known.vans, known.sites) != (asked.seed, asked.vans, asked.sites):
        raise DemoError(
            f"{plan.folder} holds the world of seed {known.seed} with {known.vans} vans and"
            f" {known.sites} sites: ask for the same, run `cordee clean`, or use --folder."
        )
    return known


def _settings(plan: Plan, servers: embedded.Servers) -> Settings:
    return Settings(
        database_url=servers.database_url,
        broker_port=servers.mqtt_port,
        broker_monitor_url=servers.monitor_url,
        api_port=plan.port if _is_free(plan.port) else embedded.free_port(),
    )


def _is_free(port: int) -> bool:
    return port != 0 and not embedded.listens(port)()


def _begin_day(plan: Plan, world: WorldFile, services: Services, logins: tuple[str, ...]) -> None:
    """Start every service on a clock that goes on where the last run ended, but by day."""
    services.settings = services.settings.model_copy(
        update={
            "clock_origin_ms": as_ms(_begins(plan, world)),
            "clock_start_ms": real_ms() + FLEET_GETS_READY_MS * world.vans,
            "clock_factor": plan.speed,
        }
    )
    services.start("api")  # which takes longest
    services.start(
        "simulate",
        *("--world", str(plan.folder / "world.json")),
        *("--truth", str(plan.folder / "truth.jsonl")),
        *logins,
    )
    for name in ("ingest", "relay"):
        services.start(name)
    port = services.settings.api_port
    embedded.wait_until(embedded.listens(port), services.children["api"])


def _begins(plan: Plan, world: WorldFile) -> datetime:
    """Return the simulated moment at which this run goes on."""
    path = plan.folder / "clock.json"
    ended_ms = json.loads(path.read_text())["simulated_ms"] if path.exists() else 0
    return next_moment(world.first_day, as_datetime(ended_ms))


def _seed(
    plan: Plan,
    world: WorldFile,
    settings: Settings,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Import the world, and the tours of the day that begins and the next, unless they are there, in a child.

    What making a world takes of memory ends with it, and a start that needs none imports nothing for it.

    Raises:
        DemoError: It failed; the message ends with the end of its log.
    """
    path, log = plan.folder / "world.json", plan.folder / "seed.log"
    day = _begins(plan, world).date()
    if is_known(settings.database_url, path, day):
        return
    command: list[str | Path] = [
        sys.executable, "-m", "ops.cli", "seed", "--world", path, "--day", f"{day}",
        "--vans", str(world.vans), "--sites", str(world.sites), "--seed", str(world.seed),
    ]  # fmt: skip
    log.unlink(missing_ok=True)
    child = embedded.start("seed", command, log, environment=environment(settings))
    code, told = None, 0
    try:
        while code is None:
            time.sleep(0.02)
            code = child.process.poll()  # asked first: what is read after the end is all
            said = log.read_text().splitlines()
            for line in said[told:]:
                tell(line)
            told = len(said)
    finally:
        child.stop()
    if code != 0:
        raise DemoError(f"The world could not be imported.\n{child.last_words()}")


def next_moment(first_day: date, ended: datetime) -> datetime:
    """Return when simulated time goes on after it `ended`: at once, or on the next working morning.

    Nothing happens at night and on weekends, and nobody wants to watch it.
    """
    local = max(ended.astimezone(TIME_ZONE), datetime.combine(first_day, MORNING, TIME_ZONE))
    if is_night(local):
        day = local.date() + timedelta(days=local.time() >= EVENING)
        local = datetime.combine(day, MORNING, TIME_ZONE)
    while local.weekday() >= SATURDAY:
        local = datetime.combine(local.date() + timedelta(days=1), MORNING, TIME_ZONE)
    return local


def is_night(local: datetime) -> bool:
    """Whether every van is at home and off duty."""
    return not MORNING <= local.time() < EVENING


def _keep_clock(plan: Plan, now: Clock) -> None:
    fresh = plan.folder / "clock.json.new"
    fresh.write_text(json.dumps({"simulated_ms": now()}))
    fresh.replace(plan.folder / "clock.json")


def _watch(
    plan: Plan,
    world: WorldFile,
    servers: embedded.Servers,
    services: Services,
    logins: tuple[str, ...],
    address: str,
    sign_in: str,
    stop: Event,
) -> None:
    """Show the panel and keep the services alive until it is time to stop; skip the nights."""
    stands_s = max(0, services.settings.clock_start_ms - real_ms()) / 1_000
    deadline = time.monotonic() + stands_s + (plan.exit_after or float("inf"))
    with (
        psycopg.connect(servers.database_url, autocommit=True) as conn,
        Live(console=console, auto_refresh=False) as live,
    ):
        while not stop.is_set() and time.monotonic() < deadline:
            servers.postgres.check()
            servers.nats.check()
            services.keep_alive()
            now = clock(services.settings)
            _keep_clock(plan, now)
            moment = as_datetime(now())
            if is_night(moment.astimezone(TIME_ZONE)):
                services.stop_all()
                _seed(plan, world, services.settings)
                _begin_day(plan, world, services, logins)
                continue
            if console.is_terminal:
                note = ", ".join(f"{n} restarted {c} times" for n, c in services.restarts.items())
                figures = panel.read(conn, moment)
                live.update(
                    panel.draw(figures, moment, address, sign_in, plan.speed, note), refresh=True
                )
            stop.wait(min(1.0, max(0.0, deadline - time.monotonic())))


def _finish(plan: Plan, services: Services, world: WorldFile) -> int:
    """Stop the fleet, let the rest catch up, and compare the tables with the truth if asked."""
    now = clock(services.settings)
    with _progress() as step:
        step("The fleet sends what it still holds")
        services.stop("simulate")
        until_ms = now()
        _keep_clock(plan, now)
        if plan.report is None:
            return 0
        from ops import demo_report  # noqa: PLC0415  half of the API, for the few who ask for it

        step("The tables catch up")
        began = datetime.combine(world.first_day, MORNING, TIME_ZONE)
        told = demo_report.caught_up(services, plan.folder / "truth.jsonl", began, until_ms)
        told |= {"speed": plan.speed, "vans": world.vans}
        plan.report.write_text(json.dumps(told, indent=2) + "\n")
    console.print_json(data=told)
    return 0 if told["missing"] == 0 else 1
