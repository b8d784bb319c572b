"""How every process of ours connects to the broker: where, as whom, and by TLS when settings say so."""

import ssl
from typing import Any

import aiomqtt

from storage.settings import Settings


class UnusableFileError(OSError):
    """A file that a setting names cannot be used; the message says which."""


def tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what a client checks the broker by, and shows of itself; None for no TLS.

    Raises:
        UnusableFileError: A file of the settings cannot be read, or is none of its kind.
    """
    if not (settings.broker_tls or settings.broker_ca):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.broker_ca or None)
    except OSError as error:
        raise UnusableFileError(f"CORDEE_BROKER_CA={settings.broker_ca}: {error}") from error
    if settings.broker_certificate:
        try:
            context.load_cert_chain(settings.broker_certificate, settings.broker_key or None)
        except OSError as error:
            files = f"{settings.broker_certificate}, CORDEE_BROKER_KEY={settings.broker_key}"
            raise UnusableFileError(f"CORDEE_BROKER_CERTIFICATE={files}: {error}") from error
    return context


def servers(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Return the host and port of every server of the broker that settings name, one or more."""
    others = (it.rsplit(":", 1) for it in settings.broker_others.split(",") if it)
    return (settings.broker_host, settings.broker_port), *((host, int(p)) for host, p in others)


def client(settings: Settings, turn: int = 0, **more: Any) -> aiomqtt.Client:
    """Return a client of the settings' broker, of its servers the one whose turn it is.

    `more` are aiomqtt's own arguments.

    Raises:
        UnusableFileError: As of `tls`.
    """
    known = servers(settings)
    host, port = known[turn % len(known)]
    return aiomqtt.Client(
        host,
        port,
        username=settings.broker_user or None,
        password=settings.broker_password or None,
        tls_context=tls(settings),
        **more,
    )
