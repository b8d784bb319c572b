"""Three NATS servers on loopback as one MQTT broker: what `embedded.py` is for one.

Whatever MQTT keeps (sessions, messages, retained ones) is kept by all three, and a PUBLISH is acknowledged
when two have it. Any of them serves any client. A server that is killed and started again with its folder
catches up by itself.

The options are those of `deploy/kubernetes/nats.yaml`, which a test compares.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from ops import embedded
from ops.embedded import Child, free_ports, listens, says_healthy, start, wait_until

SERVERS: Final = 3
#: How long what was not acknowledged waits until it is sent again: shorter than for one server, since here
#: it is what ends the wait for messages that a dead worker had in hand.
ACK_WAIT_S: Final = 10

#: A message that could not be stored for so long, because no server leads, is not acknowledged and its
#: connection closed: its sender comes back and sends it again.
STORE_WITHIN_S: Final = 2

CONFIG: Final = (
    embedded.NATS_OPTIONS
    + """
server_name: cordee-{number}
cluster {{ name: cordee, listen: "127.0.0.1:{route_port}", routes: [{routes}] }}
mqtt {{
  listen: "127.0.0.1:{mqtt_port}"
  ack_wait: "{ack_wait_s}s"
  max_ack_pending: 9000
  stream_replicas: 3
  js_api_timeout: "{store_within_s}s"
}}
"""
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one server listens."""

    client: int
    monitor: int
    route: int
    mqtt: int


def _free() -> tuple[Ports, ...]:
    found = iter(free_ports(4 * SERVERS))
    return tuple(Ports(*four) for four in zip(found, found, found, found, strict=True))


@dataclass(slots=True)
class Cluster:
    """Three servers, which may be killed and started again.

    Attributes:
        folder: Has a folder for each.
        more: Further configuration of each: the mapping, who may connect.
        ports: Where each listens, always the same.
        children: Those that run or have run.
    """

    folder: Path
    more: str = ""
    ports: tuple[Ports, ...] = field(default_factory=_free)
    children: dict[int, Child] = field(default_factory=dict)

    def start(self, numbers: Iterable[int] = range(SERVERS)) -> None:
        """Start servers side by side, and wait until each serves MQTT and they have a leader.

        Raises:
            ServerError: One did not start; the message ends with the end of its log.
        """
        started = list(numbers)
        for number in started:
            self.children[number] = self._start(number)
        for number in started:
            wait_until(lambda n=number: self._is_ready(n, started), self.children[number])  # type: ignore[misc]

    def _is_ready(self, number: int, started: Iterable[int]) -> bool:
        """Whether a server serves. Raises ServerError if one has ended that was started with it."""
        for each in started:
            self.children[each].check()  # without it the others wait in vain for a leader
        ports = self.ports[number]
        return says_healthy(ports.monitor)() and listens(ports.mqtt)()

    def _start(self, number: int) -> Child:
        folder, ports = (self.folder / f"nats-{number}").resolve(), self.ports[number]
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "nats.conf"
        routes = ", ".join(f'"nats://127.0.0.1:{other.route}"' for other in self.ports)
        config.write_text(
            CONFIG.format(
                number=number,
                client_port=ports.client,
                monitor_port=ports.monitor,
                route_port=ports.route,
                mqtt_port=ports.mqtt,
                routes=routes,
                folder=folder,
                max_file_store=embedded.MAX_FILE_STORE,
                ack_wait_s=ACK_WAIT_S,
                store_within_s=STORE_WITHIN_S,
            )
            + self.more
        )
        return start(
            f"NATS Server {number}", [embedded.NATS_SERVER, "-c", config], folder / "nats.log"
        )

    def kill(self, number: int) -> None:
        """Kill a server with -9."""
        self.children[number].process.kill()
        self.children[number].process.wait()

    def stop(self) -> None:
        """Stop all, side by side: alone, the last would wait for the others."""
        for child in self.children.values():
            if child.process.poll() is None:
                child.process.terminate()
        for child in self.children.values():
            child.stop()

    def monitor_url(self, number: int = 0) -> str:
        """Return where a server tells how it is."""
        return f"http://127.0.0.1:{self.ports[number].monitor}"

    def leader(self, stream: str) -> int | None:
        """Return which server leads a stream, as the first that answers says; None if none does."""
        for number in range(SERVERS):
            for found in self._streams(number):
                if found["name"] == stream and (name := found["cluster"].get("leader")):
                    return int(name.removeprefix("cordee-"))
        return None

    def _streams(self, number: int) -> list[dict[str, Any]]:
        """Return what a server says of its streams; nothing if it does not answer."""
        asked = f"{self.monitor_url(number)}/jsz?accounts=1&streams=1"
        with contextlib.suppress(OSError), urlopen(asked, timeout=2) as answer:  # noqa: S310  ours
            accounts = json.load(answer).get("account_details") or ()
            return [found for its in accounts for found in its.get("stream_detail") or ()]
        return []

    def in_step(self, stream: str) -> bool:
        """Whether all servers run, and the leader of a stream finds both others up to date."""
        leader = self.leader(stream)
        for found in self._streams(leader) if leader is not None else ():
            if found["name"] == stream:
                others = found["cluster"].get("replicas") or ()
                return len(others) == SERVERS - 1 and all(
                    it.get("current") and not it.get("offline") for it in others
                )
        return False
