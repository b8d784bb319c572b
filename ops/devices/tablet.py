"""What to type into a tablet, and the QR codes that spare one the typing.

Three codes. One is a link that the OwnTracks app reads as its remote configuration
(`owntracks:///config?inline=` and base64 of JSON; owntracks.org/booklet, features, remoteconfig): private
messages by MQTT, to `owntracks/{van}/{device}`, with a will, and nothing subscribed; or by HTTP, if the
API's address is given. One is our own JSON, for a tablet's app of one's own. One is the address that
Traccar Client reads as its configuration: where to send, and the token as the device's identifier.

A code holds the password. It is drawn on a terminal, or written to a file that only its owner reads.
Encoding is segno's (BSD).
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TextIO
from urllib.parse import quote, urlencode

import msgspec
import segno

from ops.devices.provision import Made, UnusableError

App = Literal["owntracks", "cordee", "traccar"]

OWNTRACKS_MQTT: Final = 0
OWNTRACKS_HTTP: Final = 3
#: The app's "move" mode: a fix every so many seconds.
MOVE_MODE: Final = 2
INTERVAL_S: Final = 10
#: OwnTracks shows two letters on its map.
TRACKER_ID: Final = 2


@dataclass(frozen=True, slots=True)
class Address:
    """Where devices find the broker, and the API as https://name, if they speak HTTP."""

    host: str
    port: int
    tls: bool
    api: str = ""


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
    by_mqtt = {
        "mode": OWNTRACKS_MQTT,
        "host": address.host,
        "port": address.port,
        "tls": address.tls,
        "mqttProtocolLevel": 4,
        "clientId": made.user_name,
        "pubTopicBase": f"owntracks/{made.code}/{made.device}",
        "pubQos": 1,
        "pubRetain": False,
        "sub": False,
        "cleanSession": False,
    }
    by_http = {"mode": OWNTRACKS_HTTP, "url": f"{address.api}/v1/ingress/owntracks"}
    configuration = {
        "_type": "configuration",
        **(by_http if address.api else by_mqtt),
        "auth": True,
        "username": made.user_name,
        "password": made.password,
        "deviceId": made.device,
        "tid": made.code[-TRACKER_ID:],
        "cmd": False,
        "monitoring": MOVE_MODE,
        "moveModeLocatorInterval": INTERVAL_S,
        "locatorInterval": INTERVAL_S,
    }
    inline = base64.b64encode(msgspec.json.encode(configuration)).decode()
    return f"owntracks:///config?inline={quote(inline, safe='')}"


def traccar(made: Made, address: Address) -> str:
    """Return the address that configures Traccar Client.

    Raises:
        UnusableError: Nobody has said where the API is.
    """
    if not address.api:
        raise UnusableError("say where the API is: --api https://NAME")
    asked = urlencode({"id": made.token or "", "interval": INTERVAL_S, "accuracy": "high"})
    return f"{address.api}/v1/ingress/osmand?{asked}"


def content(made: Made, address: Address, app: App) -> str:
    """Return what the code says."""
    match app:
        case "owntracks":
            return owntracks(made, address)
        case "traccar":
            return traccar(made, address)
    return setup(made, address).decode()


def in_words(made: Made, address: Address) -> list[str]:
    """Return what to type, a line each."""
    topics = (
        f"fleet/v1/{made.code}/position, scan, report, message, status;"
        f" owntracks/{made.code}/{made.device}"
    )
    return [
        f"host       {address.host}",
        f"port       {address.port}{' with TLS' if address.tls else ' without TLS'}",
        f"user       {made.user_name}",
        f"password   {made.password}",
        f"client id  {made.user_name}",
        f"topics     {topics}",
        f"identifier {made.token}   (positions by HTTP: Traccar Client, OsmAnd)",
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
