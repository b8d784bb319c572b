"""The servers from wheels, and the broker as compose configures it: started, broken, stopped."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import aiomqtt
import psycopg
import pytest

from ops import embedded
from ops.cluster import Cluster
from ops.devices import certificates, nats, passwords
from ops.devices.rights import Rights
from ops.embedded import ServerError
from storage.broker import tls
from storage.settings import Settings, as_datetime, real_ms
from tests.integration.test_access_mqtt import deployed

ROOT = Path(__file__).parents[2]
FAST = ("fsync=off",)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="what root must do differently")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder as a user has it: in a project, below a home that is closed to others."""
    home = tmp_path / "home"
    (home / "project").mkdir(parents=True)
    home.chmod(0o700)
    data = home / "project/.cordee"
    yield data
    embedded.remove_data(data)


def above(path: Path) -> dict[Path, tuple[int, int, int]]:
    """Return mode, user and group of a path and of everything above it."""
    found = {p: p.stat() for p in (path, *path.parents)}
    return {p: (it.st_mode, it.st_uid, it.st_gid) for p, it in found.items()}


def lives(child: embedded.Child) -> bool:
    return Path(f"/proc/{child.process.pid}").exists()


def kept_in(folder: Path) -> Path:
    """Return the folder outside of `folder` where root keeps its PostgreSQL data."""
    return Path((folder / embedded.POINTER).read_text().strip())


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_data_is_there_again_after_a_stop_and_start(folder: Path) -> None:
    with embedded.servers(folder, FAST) as first, psycopg.connect(first.database_url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS value")
    with embedded.servers(folder, FAST) as second:
        assert ask(second.database_url, "SELECT value FROM kept") == 7


def test_data_is_there_again_after_a_kill(folder: Path) -> None:
    child, url = embedded.start_postgres(folder)
    with psycopg.connect(url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS value")
    os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()
    child, url = embedded.start_postgres(folder)
    assert ask(url, "SELECT value FROM kept") == 7
    child.stop()


def test_leaving_the_block_ends_both_processes(folder: Path) -> None:
    with embedded.servers(folder, FAST) as running:
        children = (running.postgres, running.nats)
        assert all(lives(child) for child in children)
        assert embedded.listens(running.mqtt_port)()
    assert not any(lives(child) for child in children)
    assert not embedded.listens(running.mqtt_port)()
    children[0].stop()  # a second time does nothing


def test_a_server_is_stopped_if_the_other_does_not_start(folder: Path) -> None:
    with (
        pytest.raises(ServerError, match="NATS Server ended"),
        embedded.servers(folder, FAST, nats_more="nonsense {"),
    ):
        pass
    assert "database system is shut down" in (folder / "postgres.log").read_text()
    with (
        pytest.raises(ServerError, match="PostgreSQL ended"),
        embedded.servers(folder, ("nonsense=1",)),
    ):
        pass
    assert not Path(f"/proc/{int((folder / 'nats.pid').read_text())}").exists()


def test_stopping_postgres_is_an_orderly_shutdown(folder: Path) -> None:
    child, url = embedded.start_postgres(folder, FAST)
    with psycopg.connect(url):  # an open connection does not hold it up
        child.stop()
    assert child.process.returncode == 0
    assert "database system is shut down" in child.log.read_text()


def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STOP_WITHIN_S", 0.2)
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    deaf = embedded.start(
        "deaf", [sys.executable, "-c", f"{program}; signal.pause()"], tmp_path / "deaf.log"
    )
    embedded.wait_until(lambda: (tmp_path / "deaf.log").stat().st_size > 0, deaf)
    deaf.stop()
    assert deaf.process.returncode == -signal.SIGKILL


def test_postgres_with_a_broken_option_says_which(folder: Path) -> None:
    with pytest.raises(ServerError, match=r"PostgreSQL ended with code 1\.") as error:
        embedded.start_postgres(folder, ("no_such_option=1",))
    assert 'unrecognized configuration parameter "no_such_option"' in str(error.value)
    assert "--- end of " in str(error.value)


def test_nats_with_a_port_in_use_says_so(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ServerError, match="NATS Server ended") as error:
            embedded.start_nats(folder, taken.getsockname()[1])
    assert "address already in use" in str(error.value)


def test_a_server_that_dies_later_is_noticed_with_its_last_words(folder: Path) -> None:
    child, _ = embedded.start_nats(folder)
    child.check()
    child.process.kill()
    child.process.wait()
    with pytest.raises(
        ServerError, match=r"NATS Server ended with code -9\.(?s:.*)Server is ready"
    ):
        child.check()


def test_a_server_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    log = tmp_path / "idle.log"
    log.write_text("".join(f"line {n}\n" for n in range(50)))
    idle = embedded.start("idle", [sys.executable, "-c", "import signal; signal.pause()"], log)
    with pytest.raises(ServerError, match=r"idle was not ready within 0\.1 s") as error:
        embedded.wait_until(lambda: False, idle, 0.1)
    idle.stop()
    shown = re.findall(r"^line \d+$", str(error.value), re.MULTILINE)
    assert shown == [f"line {n}" for n in range(50 - embedded.LOG_LINES_SHOWN, 50)]


def test_an_unfinished_cluster_is_made_anew(folder: Path) -> None:
    child, _ = embedded.start_postgres(folder, FAST)
    child.stop()
    data = (kept_in(folder) if os.geteuid() == 0 else folder) / "postgres"
    (data / "PG_VERSION").unlink()
    child, url = embedded.start_postgres(folder, FAST)
    assert ask(url, "SELECT 1") == 1
    child.stop()


def test_no_folder_above_the_data_changes_its_mode_or_owner(folder: Path) -> None:
    before = above(folder.parent)
    with embedded.servers(folder, FAST):
        while_running = above(folder.parent)
    assert before == while_running == above(folder.parent)
    assert before[folder.parent.parent][0] & 0o777 == 0o700


def test_postgres_listens_on_loopback_only(folder: Path) -> None:
    child, url = embedded.start_postgres(folder, FAST)
    assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(url, "SHOW unix_socket_directories") == ""
    child.stop()


@needs_root
def test_root_keeps_postgres_as_nobody_below_var_lib_cordee(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    child, _ = embedded.start_postgres(folder, FAST)
    home = kept_in(folder)
    assert home.parent == embedded.ROOT_DATA
    kept = home.stat()
    assert (kept.st_uid, kept.st_gid, kept.st_mode & 0o777) == (nobody.pw_uid, nobody.pw_gid, 0o700)
    programs = embedded._programs_for_nobody()
    assert programs.is_relative_to(embedded.ROOT_DATA)
    for path in (embedded.ROOT_DATA, *programs.parents[:3], programs / "postgres"):
        if path.is_relative_to(embedded.ROOT_DATA):
            assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o755), path
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    assert f"Uid:\t{nobody.pw_uid}\t{nobody.pw_uid}" in status
    assert re.search(r"^Groups:\s*$", status, re.MULTILINE)
    assert not (folder / "postgres").exists()
    child.stop()


@needs_root
def test_each_data_folder_of_root_has_a_place_of_its_own_that_goes_with_it(tmp_path: Path) -> None:
    places = []
    for name in ("one", "two"):
        child, _ = embedded.start_postgres(tmp_path / name, FAST)
        child.stop()
        places.append(kept_in(tmp_path / name))
    assert places[0] != places[1]
    embedded.remove_data(tmp_path / "one")
    assert [place.exists() for place in places] == [False, True]
    assert not (tmp_path / "one").exists()
    embedded.remove_data(tmp_path / "two")


#: Everything is imported before root is left, since nobody may not be let into the interpreter.
AS_NOBODY = """
import os, pwd, sys
from pathlib import Path
import psycopg
from ops import embedded

embedded.answers("postgresql://x@127.0.0.1:1/x")()
embedded.listens(1)()
folder, nats = map(Path, sys.argv[1:])
if os.geteuid() == 0:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
embedded.NATS_SERVER = nats
for _ in range(2):
    with embedded.servers(folder, ("fsync=off",)) as servers:
        with psycopg.connect(servers.database_url) as conn:
            conn.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
            conn.execute("INSERT INTO kept VALUES (1)")
            print(conn.execute("SELECT count(*) FROM kept").fetchone()[0])
print(os.geteuid(), (folder / "postgres/PG_VERSION").exists(), (folder / embedded.POINTER).exists())
embedded.remove_data(folder)
print(folder.exists())
"""


def reachable(path: Path) -> bool:
    """Return whether nobody may run this file."""
    return subprocess.run(["test", "-x", path], user="nobody", check=False).returncode == 0


def test_without_root_both_servers_keep_their_data_in_the_folder_itself() -> None:
    environment = dict(os.environ)
    for other_server in ("CORDEE_POSTGRES_PROGRAMS", "CORDEE_POSTGRES_OPTIONS"):
        environment.pop(other_server, None)
    # Not pytest's own folder, which is closed to nobody.
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        nats = embedded.NATS_SERVER
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
            if not reachable(nats):
                nats = Path(shutil.copy(nats, home))
            if not reachable(embedded.WHEEL_POSTGRES / "pginstall/bin/postgres"):
                environment["CORDEE_POSTGRES_PROGRAMS"] = str(embedded._programs_for_nobody())
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, home / "project/.cordee", nats],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
        assert done.stdout.split("\n") == ["1", "2", f"{user} True False", "False", ""], done.stderr
    finally:
        shutil.rmtree(home)


async def test_the_compose_broker_takes_large_messages_and_answers_its_health_check(
    tmp_path: Path,
) -> None:
    access, now, password = tmp_path / "access", as_datetime(real_ms()), "p" * 24
    everything = Rights(("#",), ("#",))
    access.mkdir()
    (access / "users.conf").write_text(
        nats.users_text([("u", passwords.hashes(password).bcrypt, everything)])
    )
    signer = certificates.authority(tmp_path / "authority", now)
    certificates.server(signer, access, ["127.0.0.1"], now)
    context = tls(Settings(broker_ca=str(tmp_path / "authority/ca.pem")))
    with deployed("nats", tmp_path) as (_, port, _):
        client = aiomqtt.Client(
            "127.0.0.1", port, username="u", password=password, tls_context=context
        )
        async with client:
            await client.subscribe("a/b", qos=1)
            await client.publish("a/b", b"x" * 2_000_000, qos=1)
            message = await anext(aiter(client.messages))
            assert message.payload == b"x" * 2_000_000
        http = re.search(r'http: "(\S+)"', (tmp_path / "nats.conf").read_text())
        assert http
        answer = await asyncio.to_thread(urlopen, f"http://{http[1]}/healthz", timeout=5)
        assert answer.status == 200
        answer.close()


def test_ports_are_different_and_none_that_connections_take_which_go_out() -> None:
    ports = embedded.free_ports(300)
    assert len(set(ports)) == 300
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert max(ports) < int(outgoing[0])


def test_a_cluster_names_the_server_that_did_not_start(tmp_path: Path) -> None:
    first, second, third = Cluster(tmp_path).ports
    cluster = Cluster(tmp_path, ports=(first, replace(second, mqtt=first.mqtt), third))
    try:
        with pytest.raises(ServerError, match=r"NATS Server [01] ended"):
            cluster.start()
    finally:
        cluster.stop()
