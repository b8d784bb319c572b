"""How a receiver knows that a webhook is ours, whole and of now. Pure.

Standard Webhooks 1.0.0, symmetric: three headers beside the body.

    webhook-id         msg_..., the same at every attempt
    webhook-timestamp  seconds since 1970 UTC of this attempt
    webhook-signature  v1,<base64 of HMAC-SHA256 of "id.timestamp.body"> for each secret, by spaces

A secret is `whsec_` and the base64 of 24 to 64 random bytes. While one is being replaced, the body
is signed with both, so that the receiver may change over at any moment in between. The signing
itself is that project's own library; what it cannot see is that neither id nor time holds a full
stop of somebody else's making: our ids are hexadecimal.
"""

import base64
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from standardwebhooks import Webhook

from storage.settings import as_datetime

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
CONTENT_TYPE: Final = "application/cloudevents+json"


def secret_of(random_bytes: bytes) -> str:
    """Return a secret as both sides write it."""
    assert len(random_bytes) == SECRET_BYTES  # noqa: S101  ours to give
    return PREFIX + base64.b64encode(random_bytes).decode()


def headers(secrets: Sequence[str], message: UUID, body: bytes, now: int) -> dict[str, str]:
    """Return the headers of one attempt.

    Args:
        secrets: One, or the new and the old one.
        message: The same at every attempt.
        body: UTF-8, as it is sent.
        now: The machine's time, ms since 1970 UTC.
    """
    name = f"msg_{message.hex}"
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": name,
        "webhook-timestamp": str(now // 1_000),
        "webhook-signature": " ".join(signature(secret, name, body, now) for secret in secrets),
    }


def signature(secret: str, name: str, body: bytes, now: int) -> str:
    """Return the signature of a message, by its whole name, with one secret."""
    return Webhook(secret).sign(name, as_datetime(now), body.decode())
