"""Who can come in, and for how long still: vans at the broker, everybody by TLS, somebody who can sign in.

What is missing here is noticed late and on a bad morning: a van without a credential says nothing, a
certificate ends on a day that nobody knows, and the one admin who had a password has left.

*Certificates* are those that the settings lead to: the one that the broker shows, read from a connection
to it, and the files of `CORDEE_BROKER_CA` and `CORDEE_BROKER_CERTIFICATE`. Of a file with several
authorities the last to end counts: while one follows another both are in it. Ends are told by the
machine's clock, as TLS does, also where the installation's is simulated.
"""

import socket
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg
from cryptography import x509

from ops.finding import Finding
from storage import broker
from storage.settings import Settings, as_datetime, clock

SOON: Final = timedelta(days=30)
NAMED_MAX: Final = 5
CONNECT_S: Final = 5.0

#: The users that `cordee provision broker` makes for our own services: whoever comes as one of them
#: comes to a broker that lets nobody in without a credential.
PROVISIONED: Final = frozenset({"ingest", "relay"})

#: Vans that the broker does not let in: whether each was let in before, and is to travel.
SHUT_OUT: Final = """
SELECT van.code,
       EXISTS (SELECT FROM broker_credential AS its WHERE its.van_id = van.van_id),
       EXISTS (SELECT FROM tour WHERE tour.van_id = van.van_id AND service_date >= %s)
FROM van
WHERE NOT EXISTS (
  SELECT FROM broker_credential AS its
  WHERE its.van_id = van.van_id AND (revoked_time IS NULL OR revoked_time > now()))
ORDER BY van.code
"""
ANY_CREDENTIAL: Final = "SELECT EXISTS (SELECT FROM broker_credential)"

ADMINS: Final = """
SELECT count(*), count(password_hash), count(email) FROM app_user
WHERE role = 'admin' AND state = 'active'
"""


def credentials(conn: psycopg.Connection, settings: Settings) -> Iterator[Finding]:
    """Yield which vans the broker does not let in; nothing where it asks nobody who he is.

    One whose credential was ended, and that no tour sends out, may be in the garage for good.
    """
    is_asked = settings.broker_user in PROVISIONED or settings.ingest_password
    if not is_asked and conn.execute(ANY_CREDENTIAL).fetchone() != (True,):
        return
    today = as_datetime(clock(settings)()).date()
    rows = conn.execute(SHUT_OUT, (today,)).fetchall()
    wanted = [code for code, was_let_in, is_planned in rows if is_planned or not was_let_in]
    if wanted:
        text = (
            f"no credential at the broker, so it will not let them in: {_named(wanted)}."
            " `cordee provision van CODE` makes one"
        )
        yield Finding(is_bad=True, text=text)
    elif rows:
        text = f"vans whose credentials were ended, without a tour ahead: {len(rows)}"
        yield Finding(is_bad=False, text=text)
    else:
        yield Finding(is_bad=False, text="every van has a credential at the broker")


def _named(codes: list[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = len(codes) - NAMED_MAX
    return ", ".join(codes[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def admins(conn: psycopg.Connection, settings: Settings) -> Iterator[Finding]:
    """Yield whether anybody can sign in who may make and mend everything."""
    active, with_password, with_email = conn.execute(ADMINS).fetchone() or (0, 0, 0)
    by_provider = 0
    if settings.oidc_issuer:
        by_provider = with_email if settings.oidc_claim == "email" else active
    if with_password or by_provider:
        yield Finding(
            is_bad=False, text=f"admins who can sign in: {max(with_password, by_provider)}"
        )
    elif active:
        lacks = (
            "no e-mail to be found by" if settings.oidc_issuer else "no identity provider is set"
        )
        text = (
            f"no admin can sign in: {active} without a password, and {lacks}."
            " `cordee user list` names them, `cordee user password LOGIN` gives one"
        )
        yield Finding(is_bad=True, text=text)
    else:
        text = "nobody who may sign in is admin: `cordee user add LOGIN --role admin`"
        yield Finding(is_bad=True, text=text)


def certificates(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield which certificates end soon, or have ended.

    What cannot be read or does not answer is not told here: the finding about the broker says why.
    """
    try:
        context = broker.tls(settings)
    except broker.UnusableFileError:
        return
    if context is None:
        return
    if (ends := _shown_until(settings, context)) is not None:
        renew = "renew it, or nobody will connect (docs/DEPLOY.md, Certificates)"
        yield _until("the broker's certificate", ends, now, renew)
    if settings.broker_ca:
        renew = (
            "make another in a folder of its own, and give its ca.pem to every device and service"
        )
        what = f"the authority in CORDEE_BROKER_CA={settings.broker_ca}"
        yield _until(what, _good_until(settings.broker_ca), now, renew)
    if settings.broker_certificate:
        renew = "make another by `cordee provision ca --client NAME`, and start the services again"
        what = f"our own CORDEE_BROKER_CERTIFICATE={settings.broker_certificate}"
        yield _until(what, _good_until(settings.broker_certificate, first=True), now, renew)


def _until(what: str, ends: datetime | None, now: datetime, renew: str) -> Finding:
    """Return whether a certificate ends soon; None if only OpenSSL can read it."""
    if ends is None:
        return Finding(is_bad=False, text=f"{what}: when it ends cannot be read")
    day = f"{ends:%Y-%m-%d}"
    if ends <= now:
        return Finding(is_bad=True, text=f"{what} has ended on {day}: {renew}")
    if ends < now + SOON:
        return Finding(
            is_bad=True, text=f"{what} ends on {day}, in {(ends - now).days} days: {renew}"
        )
    return Finding(is_bad=False, text=f"{what} is good until {day}")


def _good_until(file: str, *, first: bool = False) -> datetime | None:
    """Return when the last of a file's certificates ends; or its first, which its chain follows."""
    try:
        held = x509.load_pem_x509_certificates(Path(file).read_bytes())
    except ValueError:
        return None
    return max(one.not_valid_after_utc for one in (held[:1] if first else held))


def _shown_until(settings: Settings, context: ssl.SSLContext) -> datetime | None:
    """Return when the certificate that the broker shows ends; None if it shows none."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only its dates are read, also when it is good no more
    address = settings.broker_host, settings.broker_port
    try:
        with (
            socket.create_connection(address, timeout=CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=settings.broker_host) as shown,
        ):
            certificate = shown.getpeercert(binary_form=True)
    except OSError:
        return None
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc if certificate else None
