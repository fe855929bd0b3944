"""Requests go to the address that was checked, prove the name, and follow nobody elsewhere."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from services.notifier.tests.receiver import receiving
from services.notifier.tests.stand_in_auth import free_socket
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from notifier.adapters.outward import Outward
from notifier.errors import AddressForbiddenError, EndpointGoneError, TemporaryError


class Names:
    """The resolver of this process, which says something else at each question about the names of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = {f"{name}.example": found for name, found in answers.items()}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host, port, *rest, **named):
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self._answers:
            return self._real(host, port, *rest, **named)
        self.asked.append(name)
        answers = self._answers[name]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in found.split()
        ]


async def test_a_name_that_leads_elsewhere_a_moment_later_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, rebinding=["127.0.0.1", "169.254.169.254"])
    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        await Outward(may_be_local=True).post(f"http://rebinding.example:{port}/x?y=1", content=b"{}", headers={})

    assert names.asked == ["rebinding.example"]
    assert receiver.got[0].headers["host"] == f"rebinding.example:{port}"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1", "1.1.1.1 127.0.0.1", "2606:4700:4700::1111 fd00::1"]
)
async def test_a_name_with_one_address_that_is_not_public_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    Names(monkeypatch, inside=[address])

    with pytest.raises(AddressForbiddenError, match="not public"):
        await Outward(may_be_local=False).post("https://inside.example/", content=b"{}", headers={})


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost", "[::1]", "[::]"])
async def test_this_machine_is_not_reached_however_it_is_written(host: str) -> None:
    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        with pytest.raises(TemporaryError):
            await Outward(may_be_local=False).post(f"https://{host}:{port}/", content=b"{}", headers={})

    assert receiver.got == []


async def test_a_redirect_is_not_followed() -> None:
    async with receiving() as receiver, receiving() as inside:
        receiver.status, receiver.location = 307, inside.url
        with pytest.raises(TemporaryError, match="307: redirects are not followed"):
            await Outward(may_be_local=True).post(receiver.url, content=b"{}", headers={})

    assert (len(receiver.got), inside.got) == (1, [])


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await Outward(may_be_local=True).post(receiver.url, content=b"{}", headers={})

    assert (len(receiver.got), proxy.got) == (1, [])


@pytest.mark.parametrize(("status", "error"), [(400, TemporaryError), (503, TemporaryError), (410, EndpointGoneError)])
async def test_what_is_no_success_is_an_error(status: int, error: type[Exception]) -> None:
    async with receiving() as receiver:
        receiver.status = status
        with pytest.raises(error, match=str(status)):
            await Outward(may_be_local=True).post(receiver.url, content=b"{}", headers={})


async def test_nobody_there_is_a_temporary_error_without_the_url() -> None:
    with free_socket(listens=False) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(TemporaryError) as raised:
            await Outward(may_be_local=True).post(f"http://127.0.0.1:{port}/secret", content=b"{}", headers={})

    assert raised.value.reason == "the endpoint does not answer: ConnectError"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for one name that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


async def test_tls_proves_the_name_and_not_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Names(monkeypatch, hooks=["127.0.0.1"], other=["127.0.0.1"])
    cert, key = certificate(tmp_path, "hooks.example")
    outward = Outward(may_be_local=True, verify=ssl.create_default_context(cafile=str(cert)))

    async def taken(_request: object) -> Response:
        return Response(status_code=204)

    app = Starlette(routes=[Route("/", taken, methods=["POST"])])
    with free_socket() as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(app, log_config=None, lifespan="off", ssl_certfile=str(cert), ssl_keyfile=str(key))
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await outward.post(f"https://hooks.example:{port}/", content=b"{}", headers={})
            with pytest.raises(TemporaryError, match="does not answer"):
                await outward.post(f"https://other.example:{port}/", content=b"{}", headers={})
        finally:
            server.should_exit = True
            await task
