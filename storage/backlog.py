"""How full the broker is: what NATS Server's monitoring says of the store behind its MQTT listener.

What NATS 2.15 does at its limits was found by trying (docs/OPERATIONS.md, *When the broker is full*):

| what is full                     | PUBLISH at QoS 1                | who connects anew | what was acknowledged |
| -------------------------------- | ------------------------------- | ----------------- | --------------------- |
| `max_file_store`, of the server  | no PUBACK, connection closed    | nobody can        | kept, and nobody can fetch it |
| stream limit, `discard: new`     | no PUBACK, connection closed    | everybody can     | kept                  |
| stream limit, `discard: old`     | PUBACK                          | everybody can     | **the oldest is lost** |
| the disk                         | no PUBACK until a restart       | nobody can        | kept                  |

Hence the messages of the fleet get a limit of their own, with `discard: new`, below that of the server:
what is left is room for sessions, without which ingest could not come back to empty the store.
"""

from dataclasses import dataclass
from typing import Any, Final, NewType

import httpx

#: Where NATS keeps what is published at QoS 1 until every subscriber has acknowledged it.
STREAM: Final = "$MQTT_msgs"
#: What changes its limits: NATS takes its own API's subjects from MQTT clients too.
LIMIT_TOPIC: Final = f"$JS/API/STREAM/UPDATE/{STREAM}"
#: How much of the server's store the fleet's messages may take.
LIMIT_SHARE: Final = 0.8
#: Of the limit; from there on somebody should look.
ALARM_SHARE: Final = 0.5
ANSWERS_WITHIN_S: Final = 3.0

Config = NewType("Config", dict[str, Any])


class BrokerError(RuntimeError):
    """The monitoring does not answer, or not as NATS Server would; the message says so."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the broker holds of the fleet's messages.

    Attributes:
        messages: Published and not yet acknowledged by ingest.
        held_bytes: What they take of the store.
        limit_bytes: The most they may take; None if only the server's own limit ends it.
        store_bytes: The most that everything may take in the server.
        loses_old: At the limit it would drop what it has acknowledged.
        is_well: The broker calls itself healthy; a full disk makes it ill until it is started again.
        config: The stream's, as NATS knows it; None before the first MQTT client.
    """

    messages: int
    held_bytes: int
    limit_bytes: int | None
    store_bytes: int
    loses_old: bool
    is_well: bool
    config: Config | None

    @property
    def share(self) -> float:
        """How full it is, 0 to 1."""
        return self.held_bytes / max(1, self.limit_bytes or self.store_bytes)

    @property
    def is_safe(self) -> bool:
        """Whether at its limit it refuses what is new, and leaves room for sessions."""
        return self.limit_bytes is not None and not self.loses_old

    def wanted(self) -> Config | None:
        """Return the stream's configuration with Cordée's limit; None if there is no stream yet."""
        if self.config is None:
            return None
        limit = int(self.store_bytes * LIMIT_SHARE)
        return Config({**self.config, "max_bytes": limit, "discard": "new"})


async def look(monitor_url: str) -> Backlog:
    """Ask NATS Server's monitoring how full it is.

    Raises:
        BrokerError: It does not answer, or has no JetStream.
    """
    try:
        async with httpx.AsyncClient(
            base_url=monitor_url, timeout=ANSWERS_WITHIN_S, trust_env=False
        ) as client:
            health = await client.get("/healthz")
            answer = await client.get(
                "/jsz", params={"accounts": "1", "streams": "1", "config": "1"}
            )
            answer.raise_for_status()
            return read(answer.json(), is_well=health.is_success)
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise BrokerError(
            f"{monitor_url} does not answer as NATS Server's monitoring would: {error!r}"
        ) from error


def read(answer: dict[str, Any], *, is_well: bool) -> Backlog:
    """Return what an answer of `/jsz` says. Raises KeyError where it is none."""
    store_bytes = int(answer["config"]["max_storage"])
    streams = {
        stream["name"]: stream
        for account in answer.get("account_details") or ()
        for stream in account.get("stream_detail") or ()
    }
    if STREAM not in streams:
        return Backlog(0, 0, None, store_bytes, loses_old=False, is_well=is_well, config=None)
    config, state = streams[STREAM]["config"], streams[STREAM]["state"]
    limits = [config[name] for name in ("max_msgs", "max_age") if config.get(name, -1) > 0]
    is_bounded = config["max_bytes"] > 0
    return Backlog(
        messages=int(state["messages"]),
        held_bytes=int(state["bytes"]),
        limit_bytes=int(config["max_bytes"]) if is_bounded else None,
        store_bytes=store_bytes,
        loses_old=bool(limits) or (is_bounded and config["discard"] != "new"),
        is_well=is_well,
        config=Config(config),
    )
