"""The whole system as processes of their own, on proxies and disks that can be spoiled.

PostgreSQL and NATS Server from wheels, `cordee ingest`, `relay` and `api` as in production. What dies is
started again, as compose or systemd would, unless it is held down. Servers keep their ports and data.
Where this process may mount (root on Linux), both servers' data is on small file systems of their own,
so that a disk can be full without the machine's being so.

Ingest reaches the broker and the database, and vans reach the broker, through proxies.
"""

import asyncio
import contextlib
import logging
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from ops import embedded
from ops.embedded import Child, ServerError
from ops.faults.proxy import Proxy
from ops.services import environment
from storage.settings import Settings

Result = TypeVar("Result")

SERVICES: Final = ("ingest", "relay", "api")
#: WAL of a small server; a disk that is to be full must not be large.
POSTGRES_OPTIONS: Final = ("max_wal_size=192MB", "min_wal_size=80MB", "shared_buffers=96MB")
DATABASE_DISK_MB: Final = 900
BROKER_DISK_MB: Final = 256
LOOK_S: Final = 0.1
#: A broker that answers but calls itself ill for so long is started again.
ILL_S: Final = 3.0
START_TRIES: Final = 40
START_AGAIN_S: Final = 0.5


@dataclass(slots=True)
class Disk:
    """A small file system of its own, with a file that fills it."""

    path: Path
    size_mb: int

    def mount(self) -> None:
        """Mount it. Raises OSError where that is not allowed."""
        self.path.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self.size_mb}m", "cordee-faults", self.path],  # noqa: S607
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise OSError(made.stderr.strip())

    def unmount(self) -> None:
        """Unmount it, whatever still uses it."""
        subprocess.run(["umount", "-l", self.path], capture_output=True, check=False)  # noqa: S607

    @property
    def ballast(self) -> Path:
        """The file that fills it."""
        return self.path / "ballast"

    def fill(self) -> None:
        """Leave not a byte."""
        with self.ballast.open("ab") as file:
            for step in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        size = file.seek(0, os.SEEK_END)
                        os.posix_fallocate(file.fileno(), size, step)

    def free(self) -> None:
        """Give the room back."""
        self.ballast.unlink(missing_ok=True)


@dataclass(slots=True)
class Stack:
    """The running system, and the ways to disturb it."""

    folder: Path
    vans: Proxy
    to_ingest: Proxy
    to_database: Proxy
    ingest_command: tuple[str, ...] = (sys.executable, "-m", "ops.cli", "ingest")
    settings: Settings = field(default_factory=Settings)
    children: dict[str, Child] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    restarts: Counter[str] = field(default_factory=Counter)
    disks: dict[str, Disk] = field(default_factory=dict)
    cannot_mount: str = ""
    server_url: str = ""
    database_port: int = field(default_factory=embedded.free_port)
    broker_port: int = field(default_factory=embedded.free_port)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    _ill: float = 0.0

    def mount(self) -> None:
        """Give each server a disk of its own, or note why that cannot be."""
        home = Path(tempfile.mkdtemp(prefix="data-", dir=_root_data(self.folder)))
        wanted = {
            "database": Disk(home, DATABASE_DISK_MB),
            "broker": Disk(self.folder / "jetstream", BROKER_DISK_MB),
        }
        try:
            for name, disk in wanted.items():
                disk.mount()
                self.disks[name] = disk
        except OSError as error:
            self.cannot_mount = f"cannot mount a small disk (root on Linux can): {error}"
            self.unmount()
            return
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        (self.folder / embedded.POINTER).write_text(f"{home}\n")

    def unmount(self) -> None:
        """Take the disks away."""
        for disk in self.disks.values():
            disk.unmount()
        self.disks.clear()

    def start_servers(self) -> None:
        """Start PostgreSQL and NATS Server. Raises ServerError."""
        for name in ("database", "broker"):
            self._start(name, {})
        self.vans.target_port = self.to_ingest.target_port = self.broker_port
        self.to_database.target_port = self.database_port

    def _start(self, name: str, extra: dict[str, str]) -> None:
        match name:
            case "database":
                self.children[name], self.server_url = embedded.start_postgres(
                    self.folder, POSTGRES_OPTIONS, self.database_port
                )
            case "broker":
                self.children[name], _ = embedded.start_nats(self.folder, self.broker_port)
            case _:
                self.children[name] = embedded.start(
                    name,
                    [*self._command(name)],
                    self.folder / f"{name}.log",
                    environment={**environment(self._settings(name)), **extra},
                )

    def _command(self, name: str) -> tuple[str, ...]:
        if name.startswith("ingest"):
            return self.ingest_command
        return (sys.executable, "-m", "ops.cli", name)

    def _settings(self, name: str) -> Settings:
        if not name.startswith("ingest"):
            return self.settings
        url = self.settings.database_url.replace(
            f":{self.database_port}/", f":{self.to_database.port}/"
        )
        return self.settings.model_copy(
            update={"broker_port": self.to_ingest.port, "database_url": url}
        )

    async def up(self, name: str, **extra: str) -> None:
        """Start one part and wait until it runs; a server that cannot start yet is tried again.

        Raises:
            ServerError: It did not start for too long.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            for left in reversed(range(START_TRIES)):
                if self.is_up(name):
                    return
                try:
                    await asyncio.to_thread(self._start, name, extra)
                except ServerError:
                    if not left:
                        raise
                    await asyncio.sleep(START_AGAIN_S)

    def is_up(self, name: str) -> bool:
        """Whether its process runs."""
        child = self.children.get(name)
        return child is not None and child.process.poll() is None

    async def kill(self, name: str) -> None:
        """Kill one part with -9."""
        child = self.children[name]
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(child.process.wait)

    async def stop(self, name: str) -> None:
        """Stop one part; it finishes what it has in hand."""
        await asyncio.to_thread(self.children[name].stop)

    async def died(self, name: str, within_s: float) -> bool:
        """Wait until a part has ended by itself; return whether it has."""
        process = self.children[name].process
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, within_s)
        return not self.is_up(name)

    def rss_mb(self, name: str) -> float:
        """Return the memory that a part holds now, in megabytes; 0 if it does not run."""
        with contextlib.suppress(OSError, KeyError):
            status = Path(f"/proc/{self.children[name].process.pid}/status").read_text()
            if found := re.search(r"VmRSS:\s+(\d+) kB", status):
                return round(int(found[1]) * 1_024 / 1e6, 1)
        return 0.0

    async def keep_alive(self) -> None:
        """Start again what has died, for ever; what is `held` stays down."""
        while True:
            await asyncio.sleep(LOOK_S)
            for name in ("database", "broker", *SERVICES):
                if name not in self.held and name in self.children and not self.is_up(name):
                    self.restarts[name] += 1
                    with contextlib.suppress(ServerError):
                        await self.up(name)
            await self._look_at_broker()

    async def _look_at_broker(self) -> None:
        """Start a broker again that runs and calls itself ill, as a watchdog would."""
        now = asyncio.get_running_loop().time()
        if "broker" in self.held or await asyncio.to_thread(self.broker_is_well):
            self._ill = 0.0
        elif not self._ill:
            self._ill = now
        elif now - self._ill > ILL_S:
            self._ill = 0.0
            self.restarts["broker, ill"] += 1
            await self.kill("broker")

    def broker_is_well(self) -> bool:
        """Whether the broker calls itself healthy."""
        port = int(embedded.monitor_url(self.folder).rsplit(":", 1)[1])
        return embedded.says_healthy(port)()

    def close(self) -> None:
        """Stop everything that runs, servers last."""
        self.held.update(self.children)
        for disk in self.disks.values():
            disk.free()
        for name in sorted(self.children, key=lambda name: name in {"database", "broker"}):
            self.children[name].stop()


@contextlib.asynccontextmanager
async def opened(folder: Path, seed: int = 0) -> AsyncIterator[Stack]:
    """Yield a stack behind its proxies, nothing of it started; at the end nothing of it is left."""
    async with contextlib.AsyncExitStack() as exits:
        vans, to_ingest, to_database = [
            await exits.enter_async_context(Proxy(0, seed + number)) for number in range(3)
        ]
        stack = Stack(folder, vans, to_ingest, to_database)
        exits.callback(stack.unmount)
        exits.callback(stack.close)
        yield stack


def run(name: str, work: Callable[[Path], Coroutine[Any, Any, Result]]) -> Result:
    """Run something that opens a stack, in a folder of its own that is gone afterwards.

    SIGTERM ends it as Ctrl-C would: no process and no disk is left behind. Of what is logged here only
    warnings are shown, and none of the fleet's: its connections break.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    fleet = logging.getLogger("simulators.publisher")
    level = fleet.level
    fleet.setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix=f"cordee-{name}-"))
    folder.chmod(0o755)

    async def main() -> Result:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101  in a coroutine
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
        return await work(folder)

    try:
        return asyncio.run(main())
    finally:
        fleet.setLevel(level)
        embedded.remove_data(folder)


def _root_data(folder: Path) -> Path:
    if os.geteuid() != 0:
        return folder
    embedded.ROOT_DATA.mkdir(parents=True, exist_ok=True)
    return embedded.ROOT_DATA
