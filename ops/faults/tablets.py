"""What vans send and what tablets, warehouses and planners hear, written down for the judgement.

`Journal` is what the broker has acknowledged. `Ears` is a persistent session on everything the base
sends. A *probe* is a scan of a van of its own, and how long it takes until its receipt is heard: by then
the way from the van through broker, ingest, database, outbox and relay back to the van works again.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiomqtt
import msgspec

from ingest.messages import QOS, Receipt, Scan, encode
from simulators.faults import Outgoing

PROBE_VAN: Final = "van-probe"
HEARD: Final = (
    "fleet/v1/+/receipt",
    "fleet/v1/+/inbox",
    "warehouse/v1/orders/+",
    "planner/v1/alerts/+",
)
EARS_ID: Final = "faults-ears"
AGAIN_S: Final = 0.3
ACK_WITHIN_S: Final = 10.0
LOOK_S: Final = 0.02

QUIET: Final = logging.getLogger(__name__)
QUIET.setLevel(logging.CRITICAL)


@dataclass(slots=True)
class Journal:
    """Every message that the broker has acknowledged, with the moment of the PUBACK."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    acked_s: list[float] = field(default_factory=list)

    def record(self, message: Outgoing, _first_sent_ms: int) -> None:
        """Note a message of the fleet."""
        self.note(message.topic, message.payload)

    def note(self, topic: str, payload: bytes) -> None:
        """Note a message."""
        self.messages.append((topic, payload))
        self.acked_s.append(time.monotonic())


@dataclass(slots=True)
class Ears:
    """What the base has sent, as its receivers have heard it."""

    port: int
    heard: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    receipts: set[tuple[str, str]] = field(default_factory=set)

    async def listen(self) -> None:
        """Listen for ever, over as many connections as it takes, in one session."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with aiomqtt.Client(
                    "127.0.0.1",
                    self.port,
                    identifier=EARS_ID,
                    clean_session=False,
                    logger=QUIET,
                    timeout=ACK_WITHIN_S,
                ) as client:
                    await client.subscribe([(topic, QOS) for topic in HEARD])
                    async for message in client.messages:
                        self._hear(str(message.topic), bytes(message.payload))
            await asyncio.sleep(AGAIN_S)

    def _hear(self, topic: str, payload: bytes) -> None:
        self.heard[topic].append(payload)
        if topic.endswith("/receipt"):
            said = msgspec.json.decode(payload, type=Receipt)
            self.receipts.add((topic.split("/")[2], said.epoch))


@dataclass(slots=True)
class Prober:
    """Sends probes through the vans' way in, each under an epoch of its own."""

    port: int
    ears: Ears
    journal: Journal
    now: Callable[[], int]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    sent: int = 0

    async def _send(self, epoch: str) -> None:
        """Publish one probe until the broker has acknowledged it."""
        topic = f"fleet/v1/{PROBE_VAN}/scan"
        payload = encode(Scan(epoch, 1, self.now(), "issue", code="PROBE"))
        while True:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with aiomqtt.Client(
                    "127.0.0.1", self.port, logger=QUIET, timeout=ACK_WITHIN_S
                ) as client:
                    await client.publish(topic, payload, QOS)
                    self.journal.note(topic, payload)
                    return
            await asyncio.sleep(AGAIN_S)

    def send(self) -> str:
        """Begin to send a probe, and return its epoch."""
        self.sent += 1
        epoch = f"probe-{self.sent}"
        task = asyncio.create_task(self._send(epoch))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return epoch

    async def first_heard(self, within_s: float, again_s: float = 1.0) -> float | None:
        """Send probes until the receipt of one is heard; return the seconds it took, or None."""
        began = time.monotonic()
        waiting: list[str] = []
        while (passed := time.monotonic() - began) < within_s:
            if len(waiting) <= passed / again_s:
                waiting.append(self.send())
            if any((PROBE_VAN, epoch) in self.ears.receipts for epoch in waiting):
                return time.monotonic() - began
            await asyncio.sleep(LOOK_S)
        return None
