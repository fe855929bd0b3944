"""Only who is meant is spoken to, and nothing is sent that would be another request."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.dataplane.upstream import FREE, UnmeteredRouteError, verified_tls
from gateway.dataplane.upstream_request import UnsafeRequestError

from .providers_on_sockets import OK, Sink, Ticket, answering, ask, request, serving, target, upstream_of


@dataclass(frozen=True)
class Certificates:
    ca_file: Path
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "faregate test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "ca.pem", folder / "key.pem"
    ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(ca_file, key_file)
    return Certificates(ca_file, server)


async def test_tls_needs_a_certificate_that_is_trusted_and_names_the_host(certificates):
    trusting = verified_tls(extra_ca_file=certificates.ca_file)
    async with serving(answering(OK, OK), tls=certificates.server) as port:
        async with upstream_of(tls=trusting) as upstream:
            right = await ask(upstream, port, host="localhost", tls=True)
            again = await ask(upstream, port, host="localhost", tls=True)
            wrong_name = await ask(upstream, port, host="127.0.0.1", tls=True)
        async with upstream_of() as upstream:
            unknown = await ask(upstream, port, host="localhost", tls=True)

    assert (bytes(right.body), bytes(again.body)) == (b"ok", b"ok")
    assert wrong_name.broken == "SSLCertVerificationError"
    assert unknown.broken == "SSLCertVerificationError"


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [(b"x", b"1\r\ny: 2")]},
        {"headers": [(b"x\r\ny", b"1")]},
        {"query": b"a=1 HTTP/1.1\r\nhost: x"},
        {"query": b"a b"},
    ],
)
async def test_nothing_that_would_be_another_request_is_sent(changes):
    async with upstream_of() as upstream:
        with pytest.raises(UnsafeRequestError):
            upstream.paid(target(1), request(**changes), ticket=Ticket(), sink=Sink())


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/models", "/v1/messages/count_tokens"])
async def test_a_ticket_opens_the_paid_paths_only(path):
    async with upstream_of() as upstream:
        with pytest.raises(UnmeteredRouteError):
            upstream.paid(target(1), request(path=path), ticket=Ticket(), sink=Sink())


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batches", "/v1/chat/completions"])
async def test_no_paid_path_is_reached_freely(path):
    async with upstream_of() as upstream:
        for route in [("POST", path), *FREE]:
            with pytest.raises(UnmeteredRouteError):
                await upstream.free(target(1), request(path=path), route=route, most_bytes=1)
