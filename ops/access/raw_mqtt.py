"""MQTT 3.1.1 packets by hand, to try what no client library would do.

A client may send packets behind its CONNECT without waiting for the answer (3.1.4), so whoever is
refused can still try to slip a message in; and a connection that is cut makes the broker publish
its will. QoS 1, one byte of packet id, remaining lengths up to 16,383.
"""

import asyncio
import ssl
from typing import Final

CONNECTED: Final = b"\x20\x02\x00\x00"
PACKET_ID: Final = b"\x00\x01"


def _text(value: str) -> bytes:
    return _bytes(value.encode())


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _packet(kind: int, body: bytes) -> bytes:
    length = len(body)
    head = bytes([length]) if length < 0x80 else bytes([length % 0x80 | 0x80, length // 0x80])
    return bytes([kind]) + head + body


def connect(
    client_id: str, user: str | None, password: str | None, will: tuple[str, bytes] | None = None
) -> bytes:
    """Return a CONNECT with a clean session."""
    flags, body = 0x02, _text(client_id)
    if will is not None:
        flags |= 0x0C
        body += _text(will[0]) + _bytes(will[1])
    for value, flag in ((user, 0x80), (password, 0x40)):
        if value is not None:
            flags |= flag
            body += _text(value)
    return _packet(0x10, _text("MQTT") + bytes([4, flags]) + b"\x00\x3c" + body)


def publish(topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH."""
    return _packet(0x32, _text(topic) + PACKET_ID + payload)


def subscribe(topic: str) -> bytes:
    """Return a SUBSCRIBE."""
    return _packet(0x82, PACKET_ID + _text(topic) + b"\x01")


async def answer(port: int, tls: ssl.SSLContext | None, *packets: bytes) -> bytes:
    """Send packets at once, over TLS if a context is given, and return all that comes until the broker hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        writer.write(b"".join(packets))
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def cut_off(port: int, tls: ssl.SSLContext | None, connect_packet: bytes) -> None:
    """Connect and vanish, so that the broker publishes the will.

    Raises:
        ConnectionRefusedError: The broker did not let it in.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(connect_packet)
    said = await reader.read(len(CONNECTED))
    writer.transport.abort()
    if said != CONNECTED:
        raise ConnectionRefusedError(f"CONNACK {said.hex(' ')}")
