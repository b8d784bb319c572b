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


def client(settings: Settings, **more: Any) -> aiomqtt.Client:
    """Return a client of the settings' broker; `more` are aiomqtt's own arguments.

    Raises:
        UnusableFileError: As of `tls`.
    """
    return aiomqtt.Client(
        settings.broker_host,
        settings.broker_port,
        username=settings.broker_user or None,
        password=settings.broker_password or None,
        tls_context=tls(settings),
        **more,
    )
