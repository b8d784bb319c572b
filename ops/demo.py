"""The whole system on one machine, with a simulated fleet: servers, services, panel, report.

What it keeps is under one folder: the servers' data, `world.json` (what the fleet's world is made
of), `clock.json` (how far simulated time has come), `truth.jsonl` (what really happened) and a log
for each process. A second run goes on from there, at the simulated moment at which the first ended.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from threading import Event
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ops import embedded, fleet, imports, panel
from ops.report import read_tables
from ops.services import Services
from simulators.truth import Report, compare
from simulators.truth_file import read_truth
from simulators.world_files import write_tours, write_world
from storage.settings import Clock, Settings, as_datetime, clock, real_ms

#: The first simulated moment, local: the vans have just left home.
FIRST_MOMENT = time_of_day(7, 10)
TIME_ZONE = ZoneInfo("Europe/Paris")
TOUR_DAYS = 5
SATURDAY = 5

#: After the last message, how long the tables may take to hold it: a killed ingest's messages come
#: again after the broker's 30 s.
DRAIN_S_MAX = 90.0

REFERENCE = (
    "warehouses", "technicians", "items", "barcodes", "templates", "vans", "sites", "stock", "tours",
)  # fmt: skip

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
            servers = stack.enter_context(embedded.servers(plan.folder))
            world = _world(plan)
            settings = _settings(plan, servers)
            step("Bringing the database up to date")
            asyncio.run(fleet.prepare(settings))
            _seed(settings, plan.folder, world, step)
            settings = _with_clock(settings, plan)
            step("Starting ingest, relay, API and the fleet")
            services = Services(settings, plan.folder)
            stack.callback(services.stop_all)
            for name in ("ingest", "relay", "api"):
                services.start(name)
            services.start("simulate", "--world", str(plan.folder / "world.json"),
                           "--truth", str(plan.folder / "truth.jsonl"))  # fmt: skip
            embedded.wait_until(embedded.listens(settings.api_port), services.children["api"])
        address = f"http://127.0.0.1:{settings.api_port}/"
        console.print(
            f"[bold green]Ready[/] after {time.monotonic() - began:.1f} s. Open [bold]{address}[/]"
            "   (this machine only: there is no sign-in yet)"
        )
        _watch(plan, settings, servers, services, address, stop)
        return _finish(plan, settings, services, world)


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
    """Show what is being done while somebody waits; yields the way to say it."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description:<48}"), BarColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("", total=5 + len(REFERENCE))

        def step(what: str) -> None:
            progress.update(task, description=what, advance=1)

        yield step


def _world(plan: Plan) -> fleet.WorldFile:
    """Return the folder's world, writing down the plan's if there is none yet."""
    path = plan.folder / "world.json"
    if path.exists():
        known = msgspec.json.decode(path.read_bytes(), type=fleet.WorldFile)
        if (known.seed, known.vans, known.sites) != (plan.seed, plan.vans, plan.sites):
            raise DemoError(
                f"{plan.folder} holds the world of seed {known.seed} with {known.vans} vans and"
                f" {known.sites} sites: ask for the same, run `cordee clean`, or use --folder."
            )
        return known
    first_day = datetime.now(TIME_ZONE).date()
    while first_day.weekday() >= SATURDAY:
        first_day += timedelta(days=1)
    return fleet.WorldFile(plan.seed, plan.vans, plan.sites, 4_000, first_day)


def _settings(plan: Plan, servers: embedded.Servers) -> Settings:
    return Settings(
        database_url=servers.database_url,
        broker_port=servers.mqtt_port,
        api_port=plan.port if _is_free(plan.port) else embedded.free_port(),
    )


def _is_free(port: int) -> bool:
    return port != 0 and not embedded.listens(port)()


def _seed(
    settings: Settings, folder: Path, world: fleet.WorldFile, step: Callable[[str], None]
) -> None:
    """Import the world the first time. `world.json` is written last: it says that all is there."""
    path = folder / "world.json"
    if path.exists():
        return
    step(f"Making a world of {world.sites:,} sites")
    made, files = world.create(), folder / "world"
    write_world(made, files, world.first_day)
    for kind in REFERENCE:
        step(f"Importing {kind}")
        if kind == "tours":
            _import_tours(settings, files, world)
        else:
            _import(settings, kind, files / f"{kind}.csv")
    path.write_bytes(msgspec.json.encode(world))


def _import_tours(settings: Settings, files: Path, world: fleet.WorldFile) -> None:
    """Import the tours of the first days; weekends have none."""
    made = world.create()
    for days in range(TOUR_DAYS):
        day = world.first_day + timedelta(days=days)
        if day.weekday() < SATURDAY:
            write_tours(made, files, day)
            _import(settings, "tours", files / "tours.csv")


def _import(settings: Settings, kind: str, file: Path) -> None:
    result = asyncio.run(imports.import_file(settings, kind, file))
    if result.bad:
        raise DemoError("\n".join(imports.in_words(result)))


def _with_clock(settings: Settings, plan: Plan) -> Settings:
    """Return the settings with a simulated clock that starts now, where the last run ended."""
    path = plan.folder / "clock.json"
    if path.exists():
        origin_ms = json.loads(path.read_text())["simulated_ms"]
    else:
        world = msgspec.json.decode((plan.folder / "world.json").read_bytes(), type=fleet.WorldFile)
        origin_ms = _moment_ms(world.first_day)
    return settings.model_copy(
        update={
            "clock_origin_ms": origin_ms,
            "clock_start_ms": real_ms(),
            "clock_factor": plan.speed,
        }
    )


def _moment_ms(day: date) -> int:
    return round(datetime.combine(day, FIRST_MOMENT, TIME_ZONE).timestamp() * 1_000)


def _keep_clock(plan: Plan, now: Clock) -> None:
    fresh = plan.folder / "clock.json.new"
    fresh.write_text(json.dumps({"simulated_ms": now()}))
    fresh.replace(plan.folder / "clock.json")


def _watch(
    plan: Plan,
    settings: Settings,
    servers: embedded.Servers,
    services: Services,
    address: str,
    stop: Event,
) -> None:
    """Show the panel and keep the services alive until it is time to stop."""
    now, deadline = clock(settings), time.monotonic() + (plan.exit_after or float("inf"))
    with psycopg.connect(settings.database_url, autocommit=True) as conn, Live(
        console=console, auto_refresh=False, screen=False
    ) as live:  # fmt: skip
        while not stop.is_set() and time.monotonic() < deadline:
            servers.postgres.check()
            servers.nats.check()
            services.keep_alive()
            _keep_clock(plan, now)
            moment = as_datetime(now())
            restarted = ", ".join(f"{n} restarted {c} times" for n, c in services.restarts.items())
            if console.is_terminal:
                figures = panel.read(conn, moment)
                live.update(
                    panel.draw(figures, moment, address, plan.speed, restarted), refresh=True
                )
            stop.wait(min(1.0, max(0.0, deadline - time.monotonic())))


def _finish(plan: Plan, settings: Settings, services: Services, world: fleet.WorldFile) -> int:
    """Stop the fleet, let the rest catch up, and compare the tables with the truth if asked."""
    now = clock(settings)
    with _progress() as step:
        step("The fleet sends what it still holds")
        services.stop("simulate")
        until_ms = now()
        _keep_clock(plan, now)
        if plan.report is None:
            return 0
        step("The tables catch up")
        report = _caught_up(plan, settings, services, until_ms)
        lateness = asdict(report) | {"speed": plan.speed, "vans": world.vans}
        plan.report.write_text(json.dumps(lateness, indent=2) + "\n")
    console.print_json(data=lateness)
    return 0 if report.missing == 0 else 1


def _caught_up(plan: Plan, settings: Settings, services: Services, until_ms: int) -> Report:
    """Return the comparison once nothing is missing, or when waiting longer helps nobody."""
    truth = read_truth(plan.folder / "truth.jsonl", until_ms)
    deadline = time.monotonic() + DRAIN_S_MAX
    while True:
        services.keep_alive()
        report = compare(truth, read_tables(settings.database_url), until_ms)
        if report.missing == 0 or time.monotonic() > deadline:
            return report
        time.sleep(1)
