"""The path of a call with both sides in memory: the real machine, the real connections' code, written fakes around."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import orjson

from contracts.gateway import UsageRecorded
from contracts.ledger import BalanceChanged
from gateway.admission.types import AccountTerms, AdmissionRequest, Admitted, Allocation, Amounts, Left
from gateway.dataplane.call_parts import CallParts
from gateway.dataplane.errands import Errands
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.framing import Head
from gateway.dataplane.open_calls import OpenCalls
from gateway.dataplane.paid import PaidParts, PaidRoute
from gateway.dataplane.upstream import Upstream
from gateway.identity.credential import Credential
from gateway.routing.types import Address, Choice, Target
from gateway.surfaces.limit_headers import LimitHeaders
from gateway.surfaces.types import Surface
from gateway.usage.client import ClientParts
from gateway.usage.event import CallerParts
from kit.clock import ManualClock
from kit.tokens import Caller
from rating import PriceBook

MODEL = "claude-haiku-5-5"
ASK = {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": "Hello"}]}


class FakeTransport(asyncio.Transport):
    """A socket in memory: what was written, and what the reader was told to do."""

    def __init__(self, protocol: asyncio.Protocol | None = None) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = bytearray()
        self.closed = self.aborted = self.reading_is_paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written += data

    def pause_reading(self) -> None:
        self.reading_is_paused = True

    def resume_reading(self) -> None:
        self.reading_is_paused = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.lose(None)

    def abort(self) -> None:
        self.aborted = True
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            if self.protocol is not None:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)


class Provider:
    """The other end of every connection that is opened; `refusals` are connects that fail."""

    def __init__(self) -> None:
        self.transports: list[FakeTransport] = []
        self.addresses: list[Address] = []
        self.refusals: deque[Exception] = deque()

    async def open(self, factory: Callable[[], Any], address: Address, tls: object) -> Any:
        self.addresses.append(address)
        if self.refusals:
            raise self.refusals.popleft()
        protocol = factory()
        transport = FakeTransport(protocol)
        protocol.connection_made(transport)
        self.transports.append(transport)
        return protocol

    @property
    def last(self) -> FakeTransport:
        return self.transports[-1]

    def requests(self) -> list[tuple[bytes, bytes]]:
        """The request line with headers, and the body, of each request on each connection."""
        found = []
        for transport in self.transports:
            rest = bytes(transport.written)
            while rest:
                head, _, rest = rest.partition(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head)[1])
                found.append((head, rest[:length]))
                rest = rest[length:]
        return found

    def say(self, data: bytes) -> None:
        self.last.protocol.data_received(data)


class Client:
    """What the client of one exchange has received, read the way a client would."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.minor = 1
        self.closing = self.ended = self.aborted = False
        self.front = SimpleNamespace(cors=None, closing=False, standing_of=lambda _connection: b"")

    def standing_headers(self) -> bytes:
        return b""

    def on_exchange_finished(self, *, keep_alive: bool) -> None:
        self.ended = True

    def on_exchange_aborted(self, *, hard: bool) -> None:
        self.aborted = True

    def on_body_dropped(self) -> None:
        pass

    @property
    def head(self) -> bytes:
        return bytes(self.transport.written).partition(b"\r\n\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def header(self, name: str) -> str | None:
        found = re.search(rb"(?im)^%b: (.*?)\r?$" % re.escape(name.encode()), self.head)
        return found[1].decode() if found else None

    @property
    def body(self) -> bytes:
        rest = bytes(self.transport.written).partition(b"\r\n\r\n")[2]
        if b"transfer-encoding: chunked" not in self.head:
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return body


@dataclass
class FakeAdmission:
    """Admits what `decide` admits; remembers what it was told."""

    terms: AccountTerms
    decide: Callable[[AdmissionRequest], Any]
    requests: list[AdmissionRequest] = field(default_factory=list)
    extensions: list[tuple[Amounts, Callable[[Any], None]]] = field(default_factory=list)
    settled: list[Amounts] = field(default_factory=list)
    abandoned: list[UUID] = field(default_factory=list)
    given_back: list[UUID] = field(default_factory=list)

    def terms_of(self, account_id: UUID) -> AccountTerms | None:
        return self.terms

    async def learn_terms(self, account_id: UUID) -> AccountTerms:
        return self.terms

    def admit_soon(self, request: AdmissionRequest, then: Callable[[Any], None]) -> None:
        self.requests.append(request)
        then(self.decide(request))

    def extend_soon(self, call_id: UUID, amounts: Amounts, then: Callable[[Any], None]) -> None:
        self.extensions.append((amounts, then))

    def settle_soon(self, call_id: UUID, amounts: Amounts, then: Callable[[Any], None] | None = None) -> None:
        self.settled.append(amounts)

    def never_began(self, call_id: UUID, *, account_id: UUID) -> None:
        self.given_back.append(call_id)

    def memo(self, call_id: UUID, amounts: Amounts) -> bytes:
        return b"memo"

    def abandon(self, call_id: UUID) -> None:
        self.abandoned.append(call_id)


@dataclass
class FakePublisher:
    """Stores at once, or when `release` is called."""

    instance: str = "gateway-test"
    room: bool = True
    is_held: bool = False
    answer: bool = True
    events: list[bytes] = field(default_factory=list)
    waiting: list[Callable[[bool], None]] = field(default_factory=list)

    def store_soon(self, account_id: UUID, call_id: UUID, value: bytes, then: Callable[[bool], None], **_: Any) -> None:
        self.events.append(value)
        if self.is_held:
            self.waiting.append(then)
        else:
            then(self.answer)

    def release(self) -> None:
        waiting, self.waiting = self.waiting, []
        for then in waiting:
            then(self.answer)

    @property
    def usage(self) -> UsageRecorded:
        (event,) = self.events
        return UsageRecorded.from_envelope(orjson.loads(event))


@dataclass
class FakeJournal:
    error: Exception | None = None
    written: list[UUID] = field(default_factory=list)

    def admitted_soon(self, admitted: Admitted, *, report: bytes, then: Callable[[Exception | None], None]) -> None:
        self.written.append(admitted.call_id)
        then(self.error)


@dataclass
class FakeRouting:
    choice: Choice
    reports: list[tuple[str, str, float | None]] = field(default_factory=list)

    def choose(self, model: str, **_: Any) -> Choice:
        return self.choice

    def report(self, target: Target, outcome: str, retry_after_s: float | None = None) -> None:
        self.reports.append((target.route, outcome, retry_after_s))


class FakeCredentials:
    def __init__(self, credential: Credential) -> None:
        self.credential = credential

    def now(self, headers: object, *, peer: str = "") -> Credential | None:
        return self.credential

    def again(self, digest: bytes, headers: object, *, peer: str) -> Credential | None:
        return self.credential


class FakeRefusals:
    def note(self, account_id: UUID, refused: object, *, model: str) -> None:
        pass


def target(route: str = "first", *, serves: str = MODEL, model: str | None = None, kind: str = "anthropic") -> Target:
    return Target(
        route=route,
        provider=route,
        kind=kind,
        base_url=f"http://{route}.test",
        credential_id=f"{route}/key",
        secret=b"s3cret",
        model=model or serves,
        serves=serves,
        address=Address(f"{route}.test", 80, tls=False),
        authority=f"{route}.test".encode(),
        auth_header=(b"x-api-key", b"s3cret"),
    )


def admitted(request: AdmissionRequest) -> Admitted:
    return Admitted(
        call_id=request.call_id,
        account_id=request.account_id,
        admitted_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
        amounts=request.amounts,
        allocation=(Allocation(str(uuid4()), "credit", request.amounts.credit_nano),),
        plan_id="trial",
        plan_version=1,
        markup_bps=1500,
        left=Left(credit_nano=10**12),
    )


class World:
    """One gateway's call path; time moves when told to."""

    def __init__(
        self,
        surface: Surface,
        book: PriceBook,
        *,
        snapshot: BalanceChanged,
        targets: tuple[Target, ...] = (),
        ping_after_s: float = 10.0,
        decide: Callable[[AdmissionRequest], Any] = admitted,
    ) -> None:
        self.clock = ManualClock()
        self.provider = Provider()
        self.upstream = Upstream(opener=self.provider.open, clock=self.clock)
        self.admission = FakeAdmission(AccountTerms.of(snapshot), decide)
        self.publisher = FakePublisher()
        self.journal = FakeJournal()
        self.calls = OpenCalls()
        targets = targets or (target(),)
        choice = Choice(targets[0].serves, targets[0].serves, None, targets, tuple({one.serves for one in targets}))
        self.routing = FakeRouting(choice)
        caller = Caller(uuid4(), snapshot.account_id, "owner", False, None, None, None, None, (), self.clock.now())
        parts: Any = CallParts(
            upstream=self.upstream,
            routing=self.routing,
            admission=self.admission,  # type: ignore[arg-type]
            journal=self.journal,  # type: ignore[arg-type]
            publisher=self.publisher,  # type: ignore[arg-type]
            calls=self.calls,
            clock=self.clock,
            limits=LimitHeaders(),
            drain_s=120.0,
            ping_after_s=ping_after_s,
        )
        self.route = PaidRoute(
            PaidParts(
                call=parts,
                credentials=FakeCredentials(Credential(caller, "t")),  # type: ignore[arg-type]
                prices=SimpleNamespace(in_force=lambda _at: book),  # type: ignore[arg-type]
                admission=self.admission,
                routing=self.routing,
                refusals=FakeRefusals(),
                errands=Errands(),
                callers=CallerParts(),
                clients=ClientParts(),
                upgrade_url="http://upgrade.test",
            ),
            surface,
        )
        self.surface = surface

    async def call(self, **changes: Any) -> tuple[Exchange, Client]:
        """Ask; when this returns, the request is with the provider, or answered."""
        client = Client()
        headers = [
            (b"content-type", b"application/json"),
            (b"anthropic-version", b"2023-06-01"),
            (b"x-api-key", b"fg_test_0"),
        ]
        head = Head("POST", self.surface.name.encode(), b"", 1)
        head.headers = headers
        head.fields = dict(headers)
        body = orjson.dumps({**ASK, **changes})
        exchange = Exchange(client, head, path=self.surface.name, body=body, peer="127.0.0.1")  # type: ignore[arg-type]
        self.route(exchange)
        await self.turn()
        return exchange, client

    @staticmethod
    async def turn() -> None:
        """Let everything happen that waits for nothing."""
        for _ in range(5):
            await asyncio.sleep(0)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.upstream.tick(self.clock.monotonic())
        self.calls.tick(self.clock.monotonic())
