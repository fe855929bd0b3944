"""`POST /v1/messages`: who, what, admit, then the call (design, section 3)."""

from dataclasses import dataclass
from typing import Final, Protocol

from gateway.admission.types import AdmissionRequest, Admitted, Refused
from gateway.catalog.prices import PriceBooks
from gateway.dataplane.ask import Ask, parse_ask
from gateway.dataplane.bounds import worst_cost
from gateway.dataplane.call import Call, CallParts, Order
from gateway.dataplane.client import Client
from gateway.dataplane.open_calls import OpenCalls
from gateway.dataplane.refusals import refusal
from gateway.errors import ModelApiError, unavailable
from gateway.identity.credentials import Credentials
from gateway.usage.report import CallReport
from kit.ids import uuid7
from kit.tokens import Caller
from rating import PriceBook

MOST_BODY_BYTES: Final = 32 << 20
SURFACE: Final = "/v1/messages"


class Admitter(Protocol):
    """The part of admission that decides."""

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused:
        """Reserve or refuse; raises `AdmissionUnavailableError` when neither can be decided."""
        ...


@dataclass(frozen=True, slots=True)
class MessagesRoute:
    """The one paid route."""

    credentials: Credentials
    prices: PriceBooks
    admission: Admitter
    calls: OpenCalls
    parts: CallParts
    upgrade_url: str

    async def __call__(self, client: Client) -> None:
        """Answers every request that is admitted; raises `ModelApiError` or `DomainError` for the others."""
        credential = await self.credentials.of(client.headers)
        ask = parse_ask(await client.read_body(most_bytes=MOST_BODY_BYTES))
        if self.calls.closing:
            raise closing()
        if not self.parts.publisher.kafka_up:
            raise unavailable("Calls cannot be recorded at the moment; try again.")
        order = await self._admit(credential.caller, ask)
        client.request_id = f"req_{order.admitted.call_id.hex}"
        await self.calls.run(Call(self.parts, order, client))

    async def _admit(self, caller: Caller, ask: Ask) -> Order:
        now = self.parts.clock.now()
        book = self.prices.in_force(now)
        cost = worst_cost(book, ask, at=now)
        report = _report(caller, ask, book)
        decided = await self.admission.admit(
            AdmissionRequest(
                call_id=uuid7(self.parts.clock),
                account_id=caller.account_id,
                cost_nano=cost.nano,
                model=book.rates_for(ask.model).model,
                report=report.encode(),
            )
        )
        if isinstance(decided, Refused):
            raise await self._refused(decided, caller=caller, model=ask.model)
        return Order(caller, ask, book, decided, report)

    async def _refused(self, refused: Refused, *, caller: Caller, model: str) -> ModelApiError:
        if refused.reason == "credit" and refused.first_of_arming:
            await self.parts.publisher.refused(refused, account_id=caller.account_id, model=model)
        return refusal(refused, caller=caller, model=model, upgrade_url=self.upgrade_url)


def closing() -> ModelApiError:
    """The answer while the process shuts down."""
    error = unavailable("The gateway is restarting; try again.")
    error.headers["connection"] = "close"
    return error


def _report(caller: Caller, ask: Ask, book: PriceBook) -> CallReport:
    return CallReport.of(
        caller,
        surface=SURFACE,
        streamed=ask.streamed,
        model=ask.model,
        price_book_version=book.version,
        markup_bps=book.markup_bps,
    )
