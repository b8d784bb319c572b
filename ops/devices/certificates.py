"""A small certificate authority of one's own, and what it signs: the broker's certificate, a client's.

For brokers that only one's own devices reach, by a name or an address that no public authority would
sign. Whoever has a public certificate gives that to the broker instead and needs nothing of this.

The authority (`ca.key`) signs and is needed for nothing else: it lies in a folder that neither the
broker nor a service sees. `ca.pem` goes to every device and service. The server's certificate is
renewed while the broker runs: it reads the files again at SIGHUP, and open connections stay.

Keys are of P-256 (FIPS 186-5), which every tablet and microcontroller speaks; profiles after RFC 5280
with what strict verifiers ask for (key identifiers, critical constraints).
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.devices.provision import UnusableError

CA_DAYS: Final = 3_650
#: What phones accept at most, with a day to spare.
SERVER_DAYS: Final = 397
CLIENT_DAYS: Final = 825
#: Renewed by itself when it has fewer days left.
RENEW_DAYS: Final = 30
#: For clocks that are behind.
EARLIER: Final = timedelta(hours=1)

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """What signs."""

    certificate: x509.Certificate
    key: Key


def authority(folder: Path, now: datetime) -> Authority:
    """Return the authority of a folder, making it the first time.

    Raises:
        UnusableError: Only one of its two files is there, or it is over.
    """
    certificate_file, key_file = folder / "ca.pem", folder / "ca.key"
    if certificate_file.exists() != key_file.exists():
        raise UnusableError(
            f"{folder} holds only one of ca.pem and ca.key: bring the other back, or empty the folder"
            " and give every device the new ca.pem"
        )
    if not certificate_file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Cordée broker authority")])
        made = (
            _builder(name, name, key.public_key(), now, CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(parents=True, exist_ok=True)
        _write(key_file, _pem(key), 0o600)
        _write(certificate_file, made.public_bytes(serialization.Encoding.PEM), 0o644)
    known = Authority(
        x509.load_pem_x509_certificate(certificate_file.read_bytes()),
        _key(key_file),
    )
    if known.certificate.not_valid_after_utc < now + timedelta(days=SERVER_DAYS):
        raise UnusableError(
            f"the authority of {folder} ends on {known.certificate.not_valid_after_utc:%Y-%m-%d}:"
            " make one in another folder, and give its ca.pem to every device before"
        )
    return known


def _key(path: Path) -> Key:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UnusableError(f"{path} holds no key that `cordee provision ca` has made")
    return key


def server(
    signer: Authority, folder: Path, names: Sequence[str], now: datetime, *, renew: bool = False
) -> bool:
    """Write the broker's `server.pem` and `server.key`, unless they are good for 30 days more.

    They are written anew when the names or the authority are others, or when asked to.

    Returns:
        Whether they were written.
    """
    certificate_file = folder / "server.pem"
    if not renew and certificate_file.exists():
        known = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        if (
            known.not_valid_after_utc > now + timedelta(days=RENEW_DAYS)
            and _names(known) == set(map(_general, names))
            and known.issuer == signer.certificate.subject
            and _is_signed_by(known, signer)
        ):
            return False
    key = ec.generate_private_key(ec.SECP256R1())
    names_of_it = x509.SubjectAlternativeName([_general(name) for name in names])
    made = (
        _builder(
            _common_name(names[0]), signer.certificate.subject, key.public_key(), now, SERVER_DAYS
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names_of_it, critical=False)
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "server.key", _pem(key), 0o640, like=folder)
    _write(certificate_file, _signed(made, signer), 0o644, like=folder)
    return True


def client(signer: Authority, folder: Path, name: str, now: datetime) -> Path:
    """Write a client's `{name}.pem` and `{name}.key`, and return the first."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_common_name(name), signer.certificate.subject, key.public_key(), now, CLIENT_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{name}.key", _pem(key), 0o600)
    _write(folder / f"{name}.pem", _signed(made, signer), 0o644)
    return folder / f"{name}.pem"


def publish(signer: Authority, folder: Path) -> None:
    """Write `ca.pem` where others may read it."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "ca.pem", signer.certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(made: x509.CertificateBuilder, signer: Authority) -> bytes:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    certificate = made.add_extension(identifier, critical=False).sign(signer.key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def _is_signed_by(certificate: x509.Certificate, signer: Authority) -> bool:
    known = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return known == x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _common_name(name: str) -> x509.Name:
    # A common name has at most 64 characters; what counts is the alternative name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general(name: str) -> x509.GeneralName:
    """Return a name or an address as a certificate says it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise UnusableError(f"{name!r} is neither an address nor a host's name: {error}") from error


def _names(certificate: x509.Certificate) -> set[x509.GeneralName]:
    return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def _pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int, like: Path | None = None) -> None:
    """Write a file at once, with its mode from the first byte on."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
    if like is not None and os.geteuid() == 0:
        os.chown(fresh, like.stat().st_uid, like.stat().st_gid)
    fresh.replace(path)
