"""Every setting of every process, in one table.

A setting is an environment variable: the field's name in capitals after `CORDEE_`. The table is
the class below; `docs/SETTINGS.md` is written from it, and a test holds the two together.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import Protocol, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from storage.steady import SteadyClock


class Settings(BaseSettings):
    """Settings read from the environment when a process starts."""

    model_config = SettingsConfigDict(env_prefix="CORDEE_", frozen=True)

    database_url: str = Field(
        default="postgresql://cordee@127.0.0.1:5432/cordee",
        description="PostgreSQL server, user and database, as a libpq URL.",
    )
    database_replica_url: str = Field(
        default="",
        description="A streaming replica of it that the API reads from, for GET only; empty for none."
        " What it answers may be older by the replica's lag (docs/SCALING.md).",
    )
    broker_host: str = Field(default="127.0.0.1", description="Host of the MQTT broker.")
    broker_port: int = Field(default=1883, description="Port of the MQTT broker.")
    broker_others: str = Field(
        default="",
        pattern=r"^([^\s:,]+:\d+(,[^\s:,]+:\d+)*)?$",
        description="Further servers of the broker's cluster, host:port separated by commas: ingest and"
        " relay go on at the next when they lose one. Empty for one server, or for one address that leads"
        " to all.",
    )
    broker_user: str = Field(default="", description="User at the broker; empty for none.")
    broker_password: str = Field(default="", description="Password at the broker.")
    broker_name: str = Field(
        default="",
        description="Name or address by which vans call the broker, for what `cordee provision`"
        " prints and for the broker's certificate; empty for broker_host.",
    )
    broker_tls: bool = Field(
        default=False,
        description="Connect to the broker by TLS, and check its certificate; so does broker_ca.",
    )
    broker_ca: str = Field(
        default="",
        description="File of the certificate authority that must have signed the broker's"
        " certificate; empty for those that the system trusts.",
    )
    broker_certificate: str = Field(
        default="",
        description="File of our own certificate, where the broker asks for one; its key in"
        " broker_key.",
    )
    broker_key: str = Field(default="", description="File of our own certificate's key.")
    broker_mapped: str = Field(
        default="",
        description="What a mapping of the broker's (NATS, `partition()`) makes of a `{subject}`,"
        " such as part.*.{subject}: users may do the same there as without it. Empty for none, or with"
        " partitions for theirs.",
    )
    partitions: int = Field(
        default=0,
        ge=0,
        le=1_024,
        description="Into how many partitions NATS Server maps the fleet, each with a session of its"
        " own, so that several ingest processes share the work; 0 for one session and one process"
        " (docs/SCALING.md).",
    )
    ingest_password: str = Field(
        default="",
        description="Password of the broker's user `ingest`, for `cordee provision broker`; empty"
        " for the credentials in the database only.",
    )
    relay_password: str = Field(default="", description="The same of the user `relay`.")
    broker_monitor_url: str = Field(
        default="",
        description="Monitoring of NATS Server, like http://127.0.0.1:8222: `cordee migrate` limits the"
        " broker's backlog by it, `cordee doctor` and metrics say how full it is; empty for another"
        " broker.",
    )
    ingest_client_id: str = Field(
        default="cordee-ingest",
        description="MQTT client id of ingest; the broker keeps its backlog under this name. With"
        " NATS, who knows it can take the backlog over: make it one that nobody can guess.",
    )
    batch_messages_max: int = Field(
        default=5_000, ge=1, description="Most messages that one transaction takes."
    )
    queue_messages_max: int = Field(
        default=20_000,
        ge=1,
        description="Most received messages that wait in memory; beyond it the connection waits.",
    )
    batch_mb_max: int = Field(
        default=16, ge=1, description="Most megabytes of messages that one transaction takes."
    )
    queue_mb_max: int = Field(
        default=64,
        ge=1,
        description="Most megabytes of received messages that wait in memory.",
    )
    rejected_per_van_max: int = Field(
        default=10_000,
        ge=0,
        description="Most unusable messages of one van that are kept in a day; more are counted. Who"
        " is no known van shares the room of 100.",
    )
    rejected_mb_per_van_max: int = Field(
        default=50, ge=0, description="Most megabytes of them that are kept in a day."
    )
    tick_s: float = Field(
        default=1.0, gt=0, description="Seconds between looks at what no message can tell."
    )
    router_url: str = Field(
        default="",
        description="OSRM-compatible router that is asked for travel times, like"
        " http://127.0.0.1:5000; empty for the fleet's own. It sees where vans are.",
    )
    map_style_url: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/\S*)?)?$",
        description="Style of a map server that the pages' maps use, like"
        " https://tiles.example.com/style.json; empty for the built-in map. What the style names"
        " (tiles, letters, signs) must have the style's origin: browsers may ask no other. It sees"
        " which places are looked at, and the addresses of those who look.",
    )
    map_pmtiles_path: str = Field(
        default="",
        description="File of tiles (PMTiles, in Protomaps' scheme) that the API serves for the same"
        " purpose, so that nothing is asked of others; empty for none. map_style_url goes before it.",
    )
    webhook_allow_private: bool = Field(
        default=False,
        description="Let webhooks go to private and loopback addresses, as a receiver inside your"
        " own network needs. Whoever may add a webhook can then make this server ask what only it"
        " reaches (SSRF).",
    )
    keep_tracks_days: int = Field(
        default=62,
        ge=7,
        le=366,
        description="Days that positions, trips and counts of off-duty positions are kept. They tell"
        " who is where, who will be late and who is near; two months are enough to answer a client's"
        " question or to try other rules on past days.",
    )
    keep_visits_days: int = Field(
        default=365,
        ge=7,
        le=3_660,
        description="Days that visits, their reports with signatures, alerts and tours are kept: the"
        " proof that a service was rendered, when, and whether in time. Not fewer than tracks.",
    )
    keep_working_times_days: int = Field(
        default=1_826,
        ge=62,
        le=3_660,
        description="Days that duty switches, on and off, are kept: the record of working times, as"
        " labour law asks for five years. What is deleted no longer says which old positions were off"
        " duty, so not fewer than tracks.",
    )
    keep_messages_days: int = Field(
        default=90,
        ge=1,
        le=1_096,
        description="Days that messages between the base and vans are kept, read or not: to know what"
        " was agreed. They are no archive.",
    )
    keep_rejected_days: int = Field(
        default=30,
        ge=1,
        le=366,
        description="Days that messages which could not be used are kept, with their bytes: long"
        " enough to find out why, and to send them again.",
    )
    keep_access_log_days: int = Field(
        default=180,
        ge=1,
        le=1_096,
        description="Days that it is kept who looked at positions of others: to show whoever was"
        " looked at, and to find misuse.",
    )
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(default=8000, description="Port the API listens on.")
    api_names: str = Field(
        default="",
        description="Names by which requests may address an API that other machines reach,"
        " separated by commas; empty for any. On loopback only its own names are answered.",
    )
    api_proxies: str = Field(
        default="127.0.0.1",
        description="Addresses of proxies, separated by commas, that are believed when they say"
        " who asks and whether by HTTPS (X-Forwarded-For, X-Forwarded-Proto).",
    )
    session_idle_min: int = Field(
        default=60, ge=1, description="Minutes after which an unused sign-in ends."
    )
    session_hours_max: int = Field(
        default=12, ge=1, description="Hours after which every sign-in ends."
    )
    token_key: str = Field(
        default="",
        pattern="^(.{32,})?$",
        description="Key that signs the tokens of machines, 32 characters or more; empty for one"
        " that the database makes and keeps.",
    )
    oidc_issuer: str = Field(
        default="",
        description="Identity provider (OpenID Connect) that people may sign in with, as its"
        " issuer URL; empty for none.",
    )
    oidc_client_id: str = Field(default="", description="What that provider calls this API.")
    oidc_client_secret: str = Field(default="", description="What it gave this API to prove that.")
    oidc_name: str = Field(default="", description="What the sign-in page calls the provider.")
    oidc_claim: str = Field(
        default="email",
        description="Claim by which a user is found: `email`, which must be verified, is compared"
        " with the e-mail of `cordee user add`, any other with the login.",
    )
    oidc_redirect_url: str = Field(
        default="",
        description="Where the provider sends people back, as registered there; empty for"
        " /v1/session/oidc/callback at the address that was asked.",
    )
    postgres_programs: str = Field(
        default="",
        description="Folder of PostgreSQL's programs for `cordee demo` and the tests; empty for"
        " the wheel's. The place for a build with TimescaleDB.",
    )
    postgres_options: str = Field(
        default="",
        description="Further settings for that PostgreSQL, `name=value` separated by spaces.",
    )
    clock_origin_ms: int = Field(
        default=0,
        description="Simulated time, ms since 1970 UTC, at clock_start_ms; 0 for the real clock.",
    )
    clock_start_ms: int = Field(
        default=0, description="Real time, ms since 1970 UTC, at which the simulated clock began."
    )
    clock_factor: float = Field(
        default=1.0, gt=0, description="Simulated seconds in one real second."
    )
    clock_shift_file: str = Field(
        default="",
        description="For the faults campaign: file that holds by how many ms this machine's clock"
        " is wrong; empty for none.",
    )
    fault_point: str = Field(
        default="",
        description="For the faults campaign: `NAME:COUNT` kills the process with -9 when it passes"
        " that point for that time. `commit-ack`: ingest has committed and not acknowledged."
        " `publish-mark`: the relay has published and not marked. Empty for none.",
    )

    @model_validator(mode="after")
    def _visits_outlive_tracks(self) -> Self:
        """Refuse to keep tracks for longer than what is made of them."""
        if self.keep_tracks_days > min(self.keep_visits_days, self.keep_working_times_days):
            raise ValueError(
                "CORDEE_KEEP_TRACKS_DAYS is more than CORDEE_KEEP_VISITS_DAYS or"
                " CORDEE_KEEP_WORKING_TIMES_DAYS: positions must not outlive what they prove"
            )
        return self


class Clock(Protocol):
    """A source of the present, so that no rule ever asks the machine."""

    def __call__(self) -> int:
        """Return the present in milliseconds since 1970 UTC."""
        ...


def real_ms() -> int:
    """Return the machine's time in milliseconds since 1970 UTC."""
    return time_ns() // 1_000_000


def clock(settings: Settings) -> Clock:
    """Return the clock that all processes of one installation share.

    With `clock_origin_ms` 0 it is the machine's clock. Otherwise time began at the origin when the
    machine showed `clock_start_ms`, and runs `clock_factor` times as fast; before that it stands.
    Either way it is steady: see `storage/steady.py`. Ask for it once a process.
    """
    steady_ms = SteadyClock(_machine_clock(settings.clock_shift_file), _elapsed_ms)
    if settings.clock_origin_ms == 0:
        return steady_ms

    def simulated_ms() -> int:
        elapsed_ms = max(0, steady_ms() - settings.clock_start_ms)
        return settings.clock_origin_ms + int(elapsed_ms * settings.clock_factor)

    return simulated_ms


def _elapsed_ms() -> int:
    """Return ms since the machine started, those of its sleep included where it tells them."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def _machine_clock(shift_file: str) -> Clock:
    """Return the machine's clock, shifted by what a file says if there is one."""
    if not shift_file:
        return real_ms
    path = Path(shift_file)
    return lambda: real_ms() + int(path.read_text() or 0)


def as_datetime(t_ms: int) -> datetime:
    """Return milliseconds since 1970 as an aware UTC time."""
    return datetime.fromtimestamp(t_ms / 1_000, UTC)


def as_ms(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970 UTC."""
    return round(moment.timestamp() * 1_000)
