"""Backup and restore of the database.

Two ways, by whose server it is:

- *files* (`pg_basebackup`): a copy of the whole cluster with the write-ahead log that was written meanwhile,
  which another server of the same major version starts from. Where the server is ours.
- *dump* (`pg_dump`): the rows of one database as statements, which any server of this or a later version
  takes. Where the server is managed by somebody else, who gives no replication connection.

A backup is a folder with `manifest.json`: what it is, of which versions, when it began and ended, and the
size and SHA-256 of every file. It is written under another name and renamed when it is complete, so that
what is called a backup is one.

What was committed after a backup is in the *log*: `receive_log` (`pg_receivewal`) streams it beside the
backups, and a restore of files plays all of it that is there. What was not committed is still with the
broker: a restored ingest gets it again, and a message whose effects are there already changes nothing. A
dump, and files without a log, end where the backup does: messages acknowledged since then are lost.

The programs come with the embedded wheel, or from the server's own folder (CORDEE_POSTGRES_PROGRAMS); they
must not be older than the server.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import psycopg.sql

from ops import embedded
from storage.settings import Settings

Way = Literal["files", "dump"]
MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
DUMP: Final = "database.dump"
STAMP: Final = "%Y%m%dT%H%M%SZ"

FACTS: Final = """
SELECT current_setting('server_version'), current_database(),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')
"""
MIGRATIONS: Final = "SELECT migration_id FROM _yoyo_migration ORDER BY 1"
ROWS: Final = """
SELECT count(*) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
"""


class BackupError(RuntimeError):
    """A backup that cannot be made or used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a backup."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is. Times are ISO 8601 in UTC, of the machine that made it."""

    format: int
    way: Way
    began: str
    ended: str
    cordee: str
    postgres: str
    timescaledb: str | None
    database: str
    migrations: list[str]
    files: list[File]

    @property
    def age(self) -> timedelta:
        """How long ago it began: what came after that is not in it for sure."""
        return datetime.now(UTC) - datetime.fromisoformat(self.began)


def programs() -> Path:
    """Return the folder of PostgreSQL's programs."""
    chosen = Settings().postgres_programs
    return Path(chosen) if chosen else embedded.WHEEL_POSTGRES / "pginstall/bin"


def backup(settings: Settings, folder: Path, way: Way | None = None) -> Path:
    """Back up the database below a folder; return the backup's own.

    Args:
        settings: Where the database is.
        folder: Gets a folder named by the time, complete or not at all.
        way: None: files if the server lets us, else a dump.

    Raises:
        BackupError: It was not made; the message says why.
    """
    began = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    made, unfinished = folder / began.strftime(STAMP), folder / f".{began.strftime(STAMP)}.part"
    if made.exists():
        raise BackupError(f"{made} is there already: wait a second")
    facts, migrations = _facts(settings.database_url)
    way = way or ("files" if may_copy_files(settings.database_url) else "dump")
    unfinished.mkdir(mode=0o700)
    try:
        copy = {"files": _copy_files, "dump": _dump}[way]
        copy(settings.database_url, unfinished)
        manifest = Manifest(
            FORMAT, way, began.isoformat(), datetime.now(UTC).isoformat(), version("cordee"),
            facts[0], facts[2], facts[1], migrations, list(_files(unfinished)),
        )  # fmt: skip
        (unfinished / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
        _sync(unfinished)
        unfinished.rename(made)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return made


def _facts(url: str) -> tuple[tuple[Any, ...], list[str]]:
    try:
        with psycopg.connect(url, connect_timeout=5) as conn:
            facts = conn.execute(FACTS).fetchone() or ("", "", None)
            return facts, [name for (name,) in conn.execute(MIGRATIONS).fetchall()]
    except psycopg.errors.UndefinedTable as error:
        raise BackupError("the database holds no tables of Cordée's: nothing to back up") from error
    except psycopg.OperationalError as error:
        raise BackupError(f"no database: {str(error).strip()}. Set CORDEE_DATABASE_URL.") from error


def may_copy_files(url: str) -> bool:
    """Whether the server lets this user open a replication connection, and has tablespaces of its own only."""
    try:
        with psycopg.connect(url, connect_timeout=5) as conn:
            row = conn.execute(
                "SELECT (rolreplication OR rolsuper) AND current_setting('max_wal_senders')::int > 0"
                " AND current_setting('wal_level') <> 'minimal'"
                " FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        if row != (True,):
            return False
        psycopg.connect(_with(url, "replication=true")).close()
    except psycopg.OperationalError:
        return False
    return True


def _with(url: str, option: str) -> str:
    """Return a libpq URL with one more option."""
    return f"{url}{'&' if '?' in url else '?'}{option}"


def _copy_files(url: str, folder: Path) -> None:
    _run(
        "pg_basebackup",
        ["--dbname", url, "--pgdata", folder / "cluster", "--wal-method=stream",
         "--checkpoint=fast", "--no-password"],
    )  # fmt: skip


def _dump(url: str, folder: Path) -> None:
    _run("pg_dump", ["--dbname", url, "--format=custom", "--no-owner", "--no-privileges",
                     "--no-password", "--file", folder / DUMP])  # fmt: skip


def _run(program: str, arguments: list[str | Path]) -> str:
    path = programs() / program
    if not path.exists():
        raise BackupError(
            f"{path} is not there: install PostgreSQL's client programs and name their folder in"
            " CORDEE_POSTGRES_PROGRAMS"
        )
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines()[-3:]
        raise BackupError(f"{program} failed: {' / '.join(words)}")
    return done.stderr


def _files(folder: Path) -> Iterator[File]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name != MANIFEST or path.parent != folder:
            yield File(str(path.relative_to(folder)), path.stat().st_size, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Have the disk hold the files before they are called a backup."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(made: Path) -> Manifest:
    """Return a backup's manifest.

    Raises:
        BackupError: It has none that can be read.
    """
    try:
        told = json.loads((made / MANIFEST).read_text())
        return Manifest(**{**told, "files": [File(**file) for file in told["files"]]})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupError(f"{made} is no backup of ours: its {MANIFEST} cannot be read") from error


def verify(made: Path) -> Manifest:
    """Return a backup's manifest after comparing every file with it.

    Raises:
        BackupError: A file is missing, too much or not what it was.
    """
    manifest = read(made)
    there = {file.path: file for file in _files(made)}
    told = {file.path: file for file in manifest.files}
    wrong = sorted(path for path in {*there, *told} if there.get(path) != told.get(path))
    if wrong:
        raise BackupError(
            f"{made} is damaged: {', '.join(wrong[:5])} {'and more ' if wrong[5:] else ''}"
            "differ from the manifest. Use another backup."
        )
    return manifest


def backups(folder: Path) -> list[Path]:
    """Return the complete backups below a folder, the newest first."""
    return sorted(
        (path for path in folder.glob("*T*Z") if (path / MANIFEST).exists()), reverse=True
    )


def latest(folder: Path) -> Path:
    """Return the newest backup below a folder, or the folder if it is one itself.

    Raises:
        BackupError: There is none.
    """
    if (folder / MANIFEST).exists():
        return folder
    if not (found := backups(folder)):
        raise BackupError(f"there is no backup in {folder}")
    return found[0]


def complaint(folder: Path, age_max: timedelta) -> str | None:
    """Return what is wrong with the newest backup of a folder, for monitoring; None if nothing is."""
    try:
        manifest = verify(made := latest(folder))
    except BackupError as error:
        return str(error)
    if manifest.age > age_max:
        hours = manifest.age / timedelta(hours=1)
        return f"the newest backup, {made.name}, began {hours:.0f} hours ago"
    return None


def restore(settings: Settings, made: Path, *, replace: bool = False) -> Manifest:
    """Restore a dump into the database that the settings name.

    Args:
        settings: Where the database is; it must exist.
        made: The backup.
        replace: Whether what the database holds may go.

    Raises:
        BackupError: It was not restored; the message says why.
    """
    manifest = verify(made)
    if manifest.way != "dump":
        raise BackupError(
            f"{made} is a copy of a whole server's files: restore it to a folder for a server, with"
            " --into"
        )
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        (tables,) = conn.execute(ROWS).fetchone() or (0,)
        if tables and not replace:
            raise BackupError(
                f"the database holds {tables} tables already: give an empty one, or --yes-replace"
                " to lose what it holds"
            )
        if tables:
            conn.execute("DROP SCHEMA public CASCADE")
            conn.execute("CREATE SCHEMA public")
        _restore_dump(conn, settings.database_url, made, manifest)
    return manifest


def _restore_dump(conn: psycopg.Connection[Any], url: str, made: Path, manifest: Manifest) -> None:
    if manifest.timescaledb:
        conn.execute(
            psycopg.sql.SQL("CREATE EXTENSION IF NOT EXISTS timescaledb VERSION {}").format(
                manifest.timescaledb
            )
        )
        conn.execute("SELECT timescaledb_pre_restore()")
    _run("pg_restore", ["--dbname", url, "--no-owner", "--no-privileges", "--no-password",
                        "--exit-on-error", made / DUMP])  # fmt: skip
    if manifest.timescaledb:
        conn.execute("SELECT timescaledb_post_restore()")
    conn.execute("ANALYZE")


def receive_log(settings: Settings, folder: Path, *, synchronous: bool = False) -> list[str]:
    """Return the command that streams the server's log to below a folder until it is stopped.

    It has a slot, so that the server keeps what is not here yet: watch its disk while this does not run.

    Args:
        settings: Where the database is.
        folder: That of the backups.
        synchronous: Tell the server of every write at once, for `synchronous_standby_names`.
    """
    log = folder / LOG
    log.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = _with(settings.database_url, f"application_name={RECEIVER}")
    command = [
        str(programs() / "pg_receivewal"), "--dbname", url, "--directory", str(log),
        "--slot", RECEIVER, "--no-password",
    ]  # fmt: skip
    _run("pg_receivewal", [*command[1:], "--create-slot", "--if-not-exists"])
    return [*command, *(["--synchronous"] if synchronous else [])]


RECEIVER: Final = "cordee_backup"
LOG: Final = "log"


def prune(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest backups, and the log from before the oldest of them; return what went."""
    kept, gone = backups(folder)[:keep], backups(folder)[keep:]
    for made in gone:
        shutil.rmtree(made)
    with_files = [made for made in kept if read(made).way == "files"]
    if with_files and (folder / LOG).exists():
        label = (with_files[-1] / "cluster/backup_label").read_text()
        first = label.split("(file ", 1)[1].split(")", 1)[0]
        _run("pg_archivecleanup", [folder / LOG, first])
    return gone


def restore_files(made: Path, data: Path, *, replace: bool = False) -> Manifest:
    """Restore a copy of files to the data folder of a server that is not running.

    The log that lies beside the backup is played when that server starts, to its end.

    Args:
        made: The backup.
        data: The server's data folder.
        replace: Whether what it holds may go.

    Raises:
        BackupError: It was not restored; the message says why.
    """
    manifest = verify(made)
    if manifest.way != "files":
        raise BackupError(f"{made} is a dump: restore it into a database, without --into")
    if (data / "postmaster.pid").exists():
        raise BackupError(f"a server runs on {data}, or died there: stop it first")
    if data.exists() and any(data.iterdir()):
        if not replace:
            raise BackupError(
                f"{data} is not empty: give an empty folder, or --yes-replace to lose what it holds"
            )
        shutil.rmtree(data)
    shutil.copytree(made / "cluster", data, symlinks=True, dirs_exist_ok=True)
    if (log := made.parent / LOG).exists():
        _play(log, data)
    _own(data)
    return manifest


def _play(log: Path, data: Path) -> None:
    """Have the server play a log when it starts, the segment too that was still being written."""
    shutil.copytree(log, data / "restored_log")
    for unfinished in (data / "restored_log").glob("*.partial"):
        unfinished.rename(unfinished.with_suffix(""))
    with (data / "postgresql.auto.conf").open("a") as conf:
        conf.write('restore_command = \'cp "restored_log/%f" "%p"\'\n')
    (data / "recovery.signal").touch()


def _own(data: Path) -> None:
    """Give the data folder, as a server wants it, to whoever owns the folder around it."""
    data.chmod(0o700)
    if os.geteuid() == 0:
        around = data.parent.stat()
        for path in (data, *data.rglob("*")):
            os.chown(path, around.st_uid, around.st_gid, follow_symlinks=False)
