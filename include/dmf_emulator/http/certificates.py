"""The emulator's own certificate authority and keys.

msal refuses an authority that is not https, and a client that talks plain http in its tests has not tested its
TLS settings. With a data folder the authority stays the same between starts; its key is readable for its owner only,
because whoever trusts the authority trusts what the key signs. Python 3.13 verifies as RFC 5280 says, so key
identifiers and key usage are there.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dmf_emulator.settings import EmulatorError

CA_FILE = "ca.pem"
GIVEN_FILE = "given-certificate.pem"
CA_KEY_FILE = "ca-key.pem"
_LIFETIME = timedelta(days=397)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority with one server certificate.

    :param ca_pem: the authority's certificate, which clients must trust.
    :param server_context: TLS settings of the listeners.
    """

    ca_pem: bytes
    server_context: ssl.SSLContext


def create_authority(host_names: tuple[str, ...], folder: Path | None = None) -> Authority:
    """Make a server certificate for the given names, by an authority that is made or taken from a folder.

    :param host_names: host names and IP addresses that clients will use.
    :param folder: where the authority is kept, so that clients need to trust it once; None for one that ends with the
        process.
    :raises EmulatorError: when what the folder holds is no authority.
    """
    ca_key, ca = (None if folder is None else _kept_authority(folder)) or _new_authority()
    if folder is not None:
        _keep_authority(folder, ca_key, ca)
    server_key = ec.generate_private_key(ec.SECP256R1())
    ca_public = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DMF emulator")])
    server = (
        _builder(server_name, ca.subject, server_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in host_names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(server_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_public), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return Authority(
        ca_pem=ca.public_bytes(serialization.Encoding.PEM),
        server_context=_server_context(server.public_bytes(serialization.Encoding.PEM), server_key),
    )


def given_certificate(certificate: Path, key: Path) -> Authority:
    """Use a server certificate that somebody else has made.

    :param certificate: PEM file with the certificate and those between it and the authority; clients that do not know
        the authority can trust this file.
    :param key: PEM file with its private key, without a password.
    :raises EmulatorError: when they cannot be read or do not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A password is refused rather than asked for at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
        return Authority(ca_pem=certificate.read_bytes(), server_context=context)
    except OSError as error:
        raise EmulatorError(f"cannot use the certificate {certificate} with the key {key}: {error}") from error


def _new_authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own: two authorities of one name in one trust store would be taken for each other.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"DMF emulator CA {secrets.token_hex(4)}")])
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(public, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def _kept_authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None:
    """Return the folder's authority unless there is none or it ends within a day."""
    key_file, file = folder / CA_KEY_FILE, folder / CA_FILE
    if not key_file.exists() or not file.exists():
        return None
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise EmulatorError(f"{key_file} and {file} are no certificate authority: remove both") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise EmulatorError(f"{key_file} is not the key of {file}: remove both")
    ends_soon = certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(days=1)
    return None if ends_soon else (key, certificate)


def _keep_authority(folder: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    descriptor = os.open(folder / CA_KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    (folder / CA_FILE).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise EmulatorError(f"{name!r} is no host name: write it in ASCII") from error


def _server_context(certificate_pem: bytes, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # SSLContext reads certificates from files only.
    handle, name = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key_pem + certificate_pem)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
    return context
