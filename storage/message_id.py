"""What a message is known by, whoever handles it: a hash of its topic and its bytes. Pure.

The same bytes on the same topic are one message: rejected once, however often it comes, and committed
once, whoever waits for that.
"""

from hashlib import blake2b


def message_id(topic: str, payload: bytes) -> bytes:
    """Return the 16 bytes that a message is known by."""
    return blake2b(topic.encode() + b"\0" + payload, digest_size=16).digest()
