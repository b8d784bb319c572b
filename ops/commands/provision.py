"""`cordee provision`: the words of `ops/devices/` on the command line."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar, get_args

import click

from ops import transaction
from ops.devices import certificates, store, tablet
from ops.devices import provision as does
from ops.devices.provision import Kind, Made, UnusableError
from ops.devices.rights import ROLES, Role
from storage.pool import Connection, connect, migrate
from storage.settings import Settings, as_datetime, real_ms

Result = TypeVar("Result")

DEVICE = click.option(
    "--device",
    metavar="NAME",
    callback=lambda _context, _option, name: _device(name),
    help="Which of the van's devices; each needs its own.  [default: tablet]",
)
HOURS = click.option(
    "--hours",
    type=click.FloatRange(0, 24 * 366),
    default=72.0,
    show_default=True,
    help="With --rotate: how long the old one stays good; 0 if it is in wrong hands.",
)
DEVICE_MAX: Final = 32
FOLDER: Final = click.Path(path_type=Path, file_okay=False)


def _device(name: str | None) -> str | None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
    if name is not None and not (0 < len(name) <= DEVICE_MAX and set(name) <= set(letters)):
        raise click.BadParameter(f"use 1 to {DEVICE_MAX} of {letters}")
    return name


def _do(work: Callable[[Connection], Awaitable[Result]]) -> Result:
    return transaction.within("cordee-provision", UnusableError, work)


@click.group("provision")
def provision() -> None:
    """Say who may connect to the broker: vans and services, each for its own topics."""


@provision.command()
@click.argument("code", metavar="ID")
@click.option("--rotate", is_flag=True, help="Replace what the device has.")
@click.option("--revoke", is_flag=True, help="End it now; without --device, that of all devices.")
@HOURS
@DEVICE
@click.option("--host", help="Where devices find the broker.  [default: CORDEE_BROKER_NAME]")
@click.option("--port", type=int, help="[default: CORDEE_BROKER_PORT]")
@click.option("--app", type=click.Choice(get_args(tablet.App)), default="owntracks")
@click.option("--api", default="", help="https://NAME of the API, for apps that send by HTTP.")
@click.option("--qr", type=click.Path(path_type=Path, dir_okay=False), help="A .png or .svg file.")
def van(
    code: str,
    hours: float,
    device: str | None,
    host: str | None,
    port: int | None,
    app: tablet.App,
    api: str,
    qr: Path | None,
    *,
    rotate: bool,
    revoke: bool,
) -> None:
    """Make, replace or end the credential of a device of van ID.

    Shows what to type into it, this once, with a QR code: of a link for the OwnTracks app (by HTTP with
    `--api`), with `--app traccar` of one for Traccar Client, with `--app cordee` of JSON for an app of
    your own.
    """
    if rotate and revoke:
        raise click.UsageError("either --rotate or --revoke")
    if revoke:
        ended = _do(lambda conn: _revoke(conn, does.van(conn, code), device))
        click.echo(f"{ended} credentials of van {code} ended\n{_RELOAD}")
        return
    settings = Settings()
    address = tablet.Address(
        host or settings.broker_name or settings.broker_host,
        port or settings.broker_port,
        settings.broker_tls or bool(settings.broker_ca),
        api.rstrip("/"),
    )
    if app == "traccar" and not api:
        raise click.UsageError("--app traccar needs --api https://NAME")
    if qr is not None and qr.suffix.lower() not in {".png", ".svg"}:
        raise click.UsageError("--qr needs a file that ends in .png or .svg")
    made = _do(
        lambda conn: _make(conn, does.van(conn, code), device or "tablet", hours, rotate=rotate)
    )
    for line in tablet.in_words(made, address):
        click.echo(line)
    text = tablet.content(made, address, app)
    if qr is not None:
        tablet.save(text, qr)
        click.echo(f"code       {qr}")
    else:
        tablet.draw(text, sys.stdout)
    click.echo(_RELOAD)


_RELOAD: Final = "It counts when `cordee provision broker` has written it down and told the broker."


async def _make(
    conn: Connection, owner: Awaitable[store.Owner], device: str, hours: float, *, rotate: bool
) -> Made:
    if rotate:
        return await does.rotate(conn, await owner, device, hours, real_ms())
    return await does.make(conn, await owner, device, real_ms())


async def _revoke(conn: Connection, owner: Awaitable[store.Owner], device: str | None) -> int:
    return await does.revoke(conn, await owner, device, real_ms())


@provision.command()
@click.argument("role", type=click.Choice([role for role in ROLES if role != "van"]))
@click.option("--warehouse", metavar="CODE", help="Whose reports; for the role `warehouse`.")
@click.option("--rotate", is_flag=True, help="Replace it.")
@click.option("--revoke", is_flag=True, help="End it now.")
@HOURS
@DEVICE
def service(
    role: Role,
    warehouse: str | None,
    hours: float,
    device: str | None,
    *,
    rotate: bool,
    revoke: bool,
) -> None:
    """Make, replace or end the credential of a service: ingest, relay, a warehouse's, a planner's."""
    if rotate and revoke:
        raise click.UsageError("either --rotate or --revoke")
    if revoke:
        ended = _do(lambda conn: _revoke(conn, does.service(conn, role, warehouse), device))
        click.echo(f"{ended} credentials ended\n{_RELOAD}")
        return
    made = _do(
        lambda conn: _make(
            conn, does.service(conn, role, warehouse), device or "main", hours, rotate=rotate
        )
    )
    click.echo(f"user       {made.user_name}\npassword   {made.password}\n{_RELOAD}")


@provision.command("list")
def list_() -> None:
    """List all credentials, also those that are over."""
    now = as_datetime(real_ms())
    for it in _do(store.everything):
        click.echo(
            f"{it.role:<9}  {it.code:<16}  {it.device:<10}  {it.user_name:<36}"
            f"  since {_moment(it.created_time)}  {_state(it, now)}"
        )


def _state(it: store.Credential, now: datetime) -> str:
    if it.revoked_time is None:
        return "good"
    words = "good until" if it.is_live(now) else "ended"
    return f"{words} {_moment(it.revoked_time)}"


def _moment(time_: datetime) -> str:
    return time_.strftime("%Y-%m-%d %H:%M UTC")


@provision.command()
@click.option("--folder", type=FOLDER, required=True)
@click.option("--kind", type=click.Choice(get_args(Kind)), required=True)
@click.option("--pid", type=click.IntRange(1), help="The broker's process, to tell it.")
@click.option("--pid-file", type=click.Path(path_type=Path), help="Or the file that names it.")
@click.option("--watch", type=click.FloatRange(0.1), metavar="S", help="Go on, every S seconds.")
def broker(
    folder: Path, kind: Kind, pid: int | None, pid_file: Path | None, watch: float | None
) -> None:
    """Write the broker's users into a FOLDER, and make it read them.

    Nobody else's connection is dropped. It must run again when an old credential's time is over:
    with --watch it does that by itself.
    """
    settings = Settings()
    migrate(settings.database_url)
    try:
        asyncio.run(_keep(settings, kind, folder, lambda: _process(pid, pid_file), watch))
    except UnusableError as error:
        raise click.ClickException(str(error)) from error


async def _keep(
    settings: Settings,
    kind: Kind,
    folder: Path,
    process: Callable[[], int | None],
    watch_s: float | None,
) -> None:
    """Write the files once, or again and again; tell the broker whenever one has changed."""
    told = None
    async with connect(settings.database_url, "cordee-gatekeeper", size_max=1) as pool:
        while True:
            async with pool.connection() as conn, conn.transaction():
                users = await does.broker(conn, settings, kind, folder, real_ms())
            written = does.versions(folder, kind)
            if written != told:
                click.echo(f"{users} users stand in {folder}")
                try:
                    if (pid := process()) is not None:
                        does.reload(pid)
                        click.echo(f"process {pid} told")
                    told = written
                except UnusableError as error:
                    if watch_s is None:
                        raise
                    click.echo(f"not told yet: {error}")
            if watch_s is None:
                return
            await asyncio.sleep(watch_s)


def _process(pid: int | None, pid_file: Path | None) -> int | None:
    return pid if pid_file is None else does.process_of(pid_file)


@provision.command()
@click.option("--folder", type=FOLDER, required=True, help="Of ca.key, which only this needs.")
@click.option(
    "--server", type=FOLDER, help="Of the broker's server.pem and .key.  [default: FOLDER]"
)
@click.option("--public", type=FOLDER, help="Where to lay ca.pem for services.")
@click.option(
    "--name", "names", multiple=True, help="Of the broker, beside CORDEE_BROKER_NAME; repeat it."
)
@click.option("--client", metavar="NAME", help="Also write a client's certificate into FOLDER.")
@click.option("--renew", is_flag=True, help="Also when the certificate has 30 days left.")
def ca(
    folder: Path,
    server: Path | None,
    public: Path | None,
    names: tuple[str, ...],
    client: str | None,
    *,
    renew: bool,
) -> None:
    """Make a certificate authority of your own, and the broker's certificate.

    Run again, it writes a new certificate when the old one has less than 30 days left or other
    names; then tell the broker (SIGHUP). With certificates from elsewhere none of this is needed.
    """
    if known := Settings().broker_name:
        names = (*names, known)
    if client is None and not names:
        raise click.UsageError("name the broker by --name, as devices will call it")
    now = as_datetime(real_ms())
    try:
        signer = certificates.authority(folder, now)
        if names:
            written = certificates.server(signer, server or folder, names, now, renew=renew)
            click.echo(f"server.pem is {'written' if written else 'good as it is'}")
        if public is not None:
            certificates.publish(signer, public)
        if client is not None:
            click.echo(f"{certificates.client(signer, folder, client, now)} is written")
    except UnusableError as error:
        raise click.ClickException(str(error)) from error
