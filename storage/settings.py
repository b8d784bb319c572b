"""Every setting of every process, in one table.

A setting is an environment variable: the field's name in capitals after `CORDEE_`. The table is
the class below; `docs/SETTINGS.md` is written from it, and a test holds the two together.
"""

from datetime import UTC, datetime
from time import time_ns
from typing import Protocol, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings read from the environment when a process starts."""

    model_config = SettingsConfigDict(env_prefix="CORDEE_", frozen=True)

    database_url: str = Field(
        default="postgresql://cordee@127.0.0.1:5432/cordee",
        description="PostgreSQL server, user and database, as a libpq URL.",
    )
    broker_host: str = Field(default="127.0.0.1", description="Host of the MQTT broker.")
    broker_port: int = Field(default=1883, description="Port of the MQTT broker.")
    broker_user: str = Field(default="", description="User at the broker; empty for none.")
    broker_password: str = Field(default="", description="Password at the broker.")
    ingest_client_id: str = Field(
        default="cordee-ingest",
        description="MQTT client id of ingest; the broker keeps its backlog under this name.",
    )
    batch_messages_max: int = Field(
        default=5_000, ge=1, description="Most messages that one transaction takes."
    )
    queue_messages_max: int = Field(
        default=20_000,
        ge=1,
        description="Most received messages that wait in memory; beyond it the connection waits.",
    )
    tick_s: float = Field(
        default=1.0, gt=0, description="Seconds between looks at what no message can tell."
    )
    router_url: str = Field(
        default="",
        description="OSRM-compatible router that is asked for travel times, like"
        " http://127.0.0.1:5000; empty for the fleet's own. It sees where vans are.",
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
        description="Days that visits, alerts and tours are kept: the proof that a service was"
        " rendered, when, and whether in time. Not fewer than tracks.",
    )
    keep_working_times_days: int = Field(
        default=1_826,
        ge=62,
        le=3_660,
        description="Days that duty switches, on and off, are kept: the record of working times, as"
        " labour law asks for five years. What is deleted no longer says which old positions were off"
        " duty, so not fewer than tracks.",
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
    api_allow_remote: bool = Field(
        default=False,
        description="Let the API listen on an address that other machines reach; there is no"
        " sign-in yet, so put a proxy with one before it.",
    )
    api_names: str = Field(
        default="",
        description="Names by which requests may address an API that other machines reach,"
        " separated by commas; empty for any. On loopback only its own names are answered.",
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
    """
    if settings.clock_origin_ms == 0:
        return real_ms

    def simulated_ms() -> int:
        elapsed_ms = max(0, real_ms() - settings.clock_start_ms)
        return settings.clock_origin_ms + int(elapsed_ms * settings.clock_factor)

    return simulated_ms


def as_datetime(t_ms: int) -> datetime:
    """Return milliseconds since 1970 as an aware UTC time."""
    return datetime.fromtimestamp(t_ms / 1_000, UTC)


def as_ms(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970 UTC."""
    return round(moment.timestamp() * 1_000)
