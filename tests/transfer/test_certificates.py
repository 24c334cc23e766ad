"""A server whose certificate nobody here vouches for: no attempt mends that, and the sentence says what does."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engines.exceptions import TransferError, TransientTransferError
from engines.transfer.hub import pinned_file, resolve_file
from tests.transfer.support import NAME, REPO, Scene


class Server(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that leaves at the certificate: that is the test."""


def write_certificate(path: Path) -> None:
    """Write a key and a certificate for 127.0.0.1 that it signs itself, as a proxy's is for us."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "proxy")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(pem))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    write_certificate(tmp_path / "proxy.pem")
    return tmp_path / "proxy.pem"


@pytest.fixture
def endpoint(certificate: Path) -> Iterator[str]:
    """A server behind that certificate, which answers 501 to everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_that_is_not_trusted_is_named(
    scene: Scene, endpoint: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = scene.resolve()
    facts = {"commit": there.commit, "sha256": there.sha256 or ""}
    remote = pinned_file(REPO, NAME, size=there.size, endpoint=endpoint, **facts)

    for ask in (lambda: scene.fetch(remote), lambda: resolve_file(REPO, NAME, endpoint=endpoint)):
        with pytest.raises(TransferError, match="SSL_CERT_FILE") as caught:
            ask()
        assert not caught.value.transient

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(TransientTransferError, match="answered 501"):
        resolve_file(REPO, NAME, endpoint=endpoint)
