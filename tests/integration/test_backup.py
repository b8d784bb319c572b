"""Backups that are whole or not there, restores that lose nothing by mistake, and the drill."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import aiomqtt
import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.rows import TupleRow

from ingest import service
from ingest.batch import Delivery
from ingest.subscriber import open_session
from ops import backup as backups
from ops import embedded
from ops.cli import main
from storage.pool import migrate
from storage.settings import Settings, real_ms
from tests.integration.conftest import CLOCK_MS, COMPANY
from tests.integration.without_broker import TABLES, opened_base

_names = count()

#: Everything that messages make, without the times at which we came to know it.
SAID = {
    **TABLES,
    "scan": "SELECT device, epoch, seq, payload_hash, t, intent, code, status FROM scan ORDER BY 1, 3",
    "movement": "SELECT device, epoch, seq, line, t, kind, item_id, qty FROM movement ORDER BY 1, 3",
    "level": "SELECT location_id, item_id, lot, qty FROM level ORDER BY 1, 2, 3",
    "duty_switch": "SELECT * FROM duty_switch ORDER BY 1, 2",
    "scan_through": "SELECT * FROM scan_through ORDER BY 1, 2",
}


def run(monkeypatch: pytest.MonkeyPatch, url: str, *words: str) -> Result:
    monkeypatch.setenv("CORDEE_DATABASE_URL", url)
    return CliRunner().invoke(main, list(words))


def said(url: str) -> dict[str, list[TupleRow]]:
    with psycopg.connect(url, options="-c TimeZone=UTC") as conn:
        return {table: conn.execute(query).fetchall() for table, query in SAID.items()}


def messages(seconds: int) -> list[Delivery]:
    """Return what a van and its tablet send in that time: a fix a second, a scan every seventh."""
    sent = [
        Delivery("fleet/v1/van-001/status", b'{"state":"online","duty":"on","t":%d}' % CLOCK_MS)
    ]
    for n in range(seconds):
        t = CLOCK_MS - (seconds - n) * 1_000
        position = {"t": t, "lat": 48.0 + n / 20_000, "lon": 11.0, "acc_m": 5}
        sent.append(Delivery("fleet/v1/van-001/position", json.dumps(position).encode()))
        if n % 7 == 0:
            scan = {"epoch": "e", "seq": n // 7 + 1, "t": t, "intent": "load", "code": "FUSE"}
            sent.append(Delivery("fleet/v1/van-001/scan", json.dumps(scan).encode()))
    return sent


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """A database that holds nothing yet."""
    name = f"restored_{next(_names)}"
    yield embedded.ensure_database(postgres_url, name)
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def filled_url(company_url: str) -> str:
    with opened_base(company_url) as base:
        base.commit(messages(60), CLOCK_MS)
    return company_url


def test_a_dump_restored_elsewhere_is_the_same_database(
    filled_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(monkeypatch, filled_url, "backup", "--to", str(tmp_path), "--as", "dump")
    assert made.exit_code == 0, made.output
    assert "dump" in made.output
    restored = run(monkeypatch, empty_url, "restore", "--from", str(tmp_path))
    assert restored.exit_code == 0, restored.output
    assert said(empty_url) == said(filled_url)
    assert migrate(empty_url) == []
    # And it works on: rules, sequences and triggers are there.
    with opened_base(empty_url) as base:
        base.commit(messages(70), CLOCK_MS)
        assert base.rows("SELECT count(*) FROM fix") == [(70,)]


def test_a_restore_over_anything_asks_for_leave(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, filled_url, "backup", "--to", str(tmp_path), "--as", "dump")
    before = said(filled_url)
    with psycopg.connect(filled_url) as conn:
        conn.execute("DELETE FROM fix")
    refused = run(monkeypatch, filled_url, "restore", "--from", str(tmp_path))
    assert refused.exit_code == 1
    assert "--yes-replace" in refused.output
    with psycopg.connect(filled_url) as conn:
        assert conn.execute("SELECT count(*) FROM fix").fetchone() == (0,)
    assert run(
        monkeypatch, filled_url, "restore", "--from", str(tmp_path), "--yes-replace"
    ).exit_code == 0  # fmt: skip
    assert said(filled_url) == before


def test_the_manifest_tells_versions_sizes_and_hashes(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, filled_url, "backup", "--to", str(tmp_path), "--as", "dump")
    told = backups.read(backups.latest(tmp_path))
    assert told.postgres.startswith("18")
    assert told.migrations[0] == "0001.reference"
    (file,) = told.files
    assert file.size == (backups.latest(tmp_path) / backups.DUMP).stat().st_size
    assert len(file.sha256) == 64


@pytest.mark.parametrize("harm", ["changed", "missing", "added", "no manifest"])
def test_a_damaged_backup_is_neither_restored_nor_called_good(
    filled_url: str, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    run(monkeypatch, filled_url, "backup", "--to", str(tmp_path), "--as", "dump")
    made = backups.latest(tmp_path)
    dump = made / backups.DUMP
    match harm:
        case "changed":
            raw = bytearray(dump.read_bytes())
            raw[len(raw) // 2] ^= 1
            dump.write_bytes(raw)
        case "missing":
            dump.unlink()
        case "added":
            (made / "more").touch()
        case _:
            (made / backups.MANIFEST).unlink()
    restored = run(monkeypatch, empty_url, "restore", "--from", str(made))
    assert restored.exit_code == 1
    assert "Error: " in restored.output
    with psycopg.connect(empty_url) as conn:
        assert conn.execute(backups.ROWS).fetchone() == (0,)
    assert run(monkeypatch, empty_url, "backup", "--to", str(tmp_path), "--check").exit_code == 1


def test_monitoring_learns_that_the_newest_backup_is_too_old(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = ("backup", "--to", str(tmp_path), "--check")
    assert "there is no backup" in run(monkeypatch, filled_url, *check).output
    run(monkeypatch, filled_url, "backup", "--to", str(tmp_path), "--as", "dump")
    assert run(monkeypatch, filled_url, *check).exit_code == 0
    manifest = backups.latest(tmp_path) / backups.MANIFEST
    told = json.loads(manifest.read_text())
    began = datetime.now(UTC) - timedelta(hours=30)
    manifest.write_text(json.dumps({**told, "began": began.isoformat()}))
    late = run(monkeypatch, filled_url, *check)
    assert late.exit_code == 1
    assert "began 30 hours ago" in late.output
    assert run(monkeypatch, filled_url, *check, "--hours", "31").exit_code == 0


def test_a_backup_that_failed_leaves_nothing_behind(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise backups.BackupError("the disk is full")

    monkeypatch.setattr(backups, "_dump", fail)
    assert run(
        monkeypatch, filled_url, "backup", "--to", str(tmp_path), "--as", "dump"
    ).exit_code == 1  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_no_cordee_is_not_backed_up(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(monkeypatch, empty_url, "backup", "--to", str(tmp_path))
    assert made.exit_code == 1
    assert "nothing to back up" in made.output


def test_only_the_newest_are_kept(
    filled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(database_url=filled_url)
    old = backups.backup(settings, tmp_path, "dump")
    shutil.copytree(old, tmp_path / "20200101T000000Z")
    assert backups.prune(tmp_path, 1) == [tmp_path / "20200101T000000Z"]
    assert backups.backups(tmp_path) == [old]


# ---- the drill


def told_without_a_broker(url: str, feed: list[Delivery]) -> dict[str, list[TupleRow]]:
    """Return what a database says to which nothing has happened."""
    with opened_base(url) as base:
        base.commit(feed, CLOCK_MS + 60_000)
        base.tick(CLOCK_MS + 60_000)
    return said(url)


async def test_the_drill_a_server_lost_during_the_feed_comes_back_with_every_message(
    tmp_path: Path, nats_port: int, company_url: str
) -> None:
    """A backup is made while messages come, the server is killed with -9, its disk is gone."""
    feed = messages(400)
    lost, url = embedded.start_postgres(tmp_path / "lost")
    settings = Settings(
        database_url=embedded.ensure_database(url, "cordee"),
        broker_port=nats_port,
        ingest_client_id=f"drill-{real_ms()}",
        clock_origin_ms=CLOCK_MS,
        clock_start_ms=real_ms(),
    )
    migrate(settings.database_url)
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute(COMPANY)
        conn.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{backups.RECEIVER}'")
    kept = tmp_path / "kept"
    receiver = embedded.start(
        "pg_receivewal",
        list(backups.receive_log(settings, kept, synchronous=True)),
        tmp_path / "receiver.log",
    )
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute("SELECT pg_reload_conf()")

    await open_session(settings)
    ingest = asyncio.create_task(service.run(settings, asyncio.Event()))
    backing_up: asyncio.Task[Path] | None = None
    async with aiomqtt.Client("127.0.0.1", nats_port) as client:
        for n, one in enumerate(feed):
            await client.publish(one.topic, one.payload, qos=1)
            if n == len(feed) // 4:
                backing_up = asyncio.create_task(
                    asyncio.to_thread(backups.backup, settings, kept, "files")
                )
            if n % 20 == 0:
                await asyncio.sleep(0.05)  # so that the feed outlasts the backup's beginning
            if n == len(feed) * 3 // 4:
                assert backing_up is not None
                await backing_up
                lost.process.kill()
                lost.process.wait()
    ingest.cancel()
    await asyncio.gather(ingest, return_exceptions=True)
    receiver.stop()
    embedded.remove_data(tmp_path / "lost")

    # Another machine.
    (tmp_path / "found").mkdir()
    data = embedded.postgres_home(tmp_path / "found")[1]
    manifest = backups.restore_files(backups.latest(kept), data)
    assert manifest.way == "files"
    found, url = embedded.start_postgres(
        tmp_path / "found", ("synchronous_standby_names=", "recovery_target_timeline=latest")
    )
    try:
        again = settings.model_copy(update={"database_url": url.rsplit("/", 1)[0] + "/cordee"})
        with psycopg.connect(again.database_url) as conn:
            (there,) = conn.execute("SELECT count(*) FROM fix").fetchone() or (0,)
        assert 0 < there < 400
        stop = asyncio.Event()
        ingest = asyncio.create_task(service.run(again, stop))
        undisturbed = await asyncio.to_thread(told_without_a_broker, company_url, feed)
        deadline = asyncio.get_running_loop().time() + 90
        while (seen := said(again.database_url)) != undisturbed:
            assert not ingest.done()
            differing = [table for table, rows in seen.items() if rows != undisturbed[table]]
            assert asyncio.get_running_loop().time() < deadline, differing
            await asyncio.sleep(0.5)
        stop.set()
        await ingest
    finally:
        found.stop()
        embedded.remove_data(tmp_path / "found")
