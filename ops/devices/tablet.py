"""What to type into a tablet, and the QR codes that spare one the typing.

Two codes hold the same credential. One is a link that the OwnTracks app reads as its remote
configuration (`owntracks:///config?inline=` and base64 of JSON; owntracks.org/booklet, features,
remoteconfig): private messages by MQTT, to `owntracks/{van}/{device}`, with a will, and nothing
subscribed. The other is our own JSON, for a tablet's app of one's own.

A code holds the password. It is drawn on a terminal, or written to a file that only its owner reads.
Encoding is segno's (BSD).
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TextIO
from urllib.parse import quote

import msgspec
import segno

from ops.devices.provision import Made, UnusableError

App = Literal["owntracks", "cordee"]

OWNTRACKS_MQTT: Final = 0
#: The app's "move" mode: a fix every so many seconds.
MOVE_MODE: Final = 2
INTERVAL_S: Final = 10
#: OwnTracks shows two letters on its map.
TRACKER_ID: Final = 2


@dataclass(frozen=True, slots=True)
class Address:
    """Where devices find the broker."""

    host: str
    port: int
    tls: bool


class Setup(msgspec.Struct, frozen=True):
    """Our own JSON: everything that a device needs to connect."""

    v: int
    host: str
    port: int
    tls: bool
    van: str
    device: str
    user: str
    password: str
    client_id: str


def setup(made: Made, address: Address) -> bytes:
    """Return our own JSON."""
    return msgspec.json.encode(
        Setup(1, address.host, address.port, address.tls, made.code, made.device,
              made.user_name, made.password, made.user_name)
    )  # fmt: skip


def owntracks(made: Made, address: Address) -> str:
    """Return the link that configures OwnTracks."""
    configuration = {
        "_type": "configuration",
        "mode": OWNTRACKS_MQTT,
        "host": address.host,
        "port": address.port,
        "tls": address.tls,
        "mqttProtocolLevel": 4,
        "auth": True,
        "username": made.user_name,
        "password": made.password,
        "clientId": made.user_name,
        "deviceId": made.device,
        "tid": made.code[-TRACKER_ID:],
        "pubTopicBase": f"owntracks/{made.code}/{made.device}",
        "pubQos": 1,
        "pubRetain": False,
        "sub": False,
        "cmd": False,
        "cleanSession": False,
        "monitoring": MOVE_MODE,
        "moveModeLocatorInterval": INTERVAL_S,
        "locatorInterval": INTERVAL_S,
    }
    inline = base64.b64encode(msgspec.json.encode(configuration)).decode()
    return f"owntracks:///config?inline={quote(inline, safe='')}"


def content(made: Made, address: Address, app: App) -> str:
    """Return what the code says."""
    return owntracks(made, address) if app == "owntracks" else setup(made, address).decode()


def in_words(made: Made, address: Address) -> list[str]:
    """Return what to type, a line each."""
    topics = f"fleet/v1/{made.code}/position, scan, status; owntracks/{made.code}/{made.device}"
    return [
        f"host       {address.host}",
        f"port       {address.port}{' with TLS' if address.tls else ' without TLS'}",
        f"user       {made.user_name}",
        f"password   {made.password}",
        f"client id  {made.user_name}",
        f"topics     {topics}",
    ]


def draw(text: str, out: TextIO) -> None:
    """Draw a code on a terminal."""
    segno.make(text, micro=False).terminal(out, compact=True)


def save(text: str, path: Path) -> None:
    """Write a code as a picture that only its owner can read.

    Raises:
        UnusableError: The name ends neither in .png nor in .svg.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in {"png", "svg"}:
        raise UnusableError(f"{path} must end in .png or .svg")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        segno.make(text, micro=False).save(out, kind=kind, scale=6)
