"""Admission of a customer's operation: the same script, journal and refusals as a model call's."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from contracts.gateway import Operation
from contracts.terms import PaymentProblem
from gateway.admission.types import AccountTerms, AdmissionRequest, AdmissionUnavailableError, Admitted, Refused, Replan
from gateway.errors import ModelApiError, unavailable
from gateway.operations.pricing import WantedOperation, wanted_operation, worst_amounts
from gateway.operations.seal import HoldFacts
from gateway.usage.event import CallFacts, caller_part
from gateway.usage.outgoing import Memo
from kit.clock import Clock
from kit.tokens import Caller
from rating import PriceBook

ROUTE: Final = "operation"
_ROUNDS: Final = 4


class Admitter(Protocol):
    """The part of admission that decides."""

    def terms_of(self, account_id: UUID) -> AccountTerms | None: ...

    async def learn_terms(self, account_id: UUID) -> AccountTerms: ...

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused | Replan: ...

    def never_began(self, call_id: UUID, *, account_id: UUID) -> None:
        """Give an admitted call's hold back."""
        ...


class AdmissionJournal(Protocol):
    """The part of the journal that an operation needs."""

    def admitted(self, admitted: Any, *, report: bytes) -> None:
        """Raises `JournalError`."""
        ...

    def ended(self, call_ids: Iterable[UUID]) -> None: ...


class Books(Protocol):
    """The published price books."""

    def in_force(self, at: datetime) -> PriceBook: ...

    def of_version(self, version: int) -> PriceBook: ...


class UsageStore(Protocol):
    """Whether an event could be kept."""

    @property
    def room(self) -> bool: ...

    async def store(self, account_id: UUID, call_id: UUID, value: bytes, *, memo: Memo | None = None) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationOrder:
    """Who wants what, under which key of which route; `call_id` is made when the key is claimed."""

    caller: Caller
    surface: str
    call_id: UUID
    name: str
    quantity: int
    unit: str | None
    project_id: UUID | None
    idempotency_key: str
    body_sha256: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class AdmittedOperation:
    """What was stamped, and what is left after it."""

    facts: HoldFacts
    admitted: Admitted


class OperationRefusedError(Exception):
    """Nothing was taken; `refused` says why, `problem` why nothing could be charged before."""

    def __init__(self, refused: Refused, *, problem: PaymentProblem | None = None) -> None:
        super().__init__(refused.reason)
        self.refused = refused
        self.problem = problem


@dataclass(frozen=True, slots=True)
class OperationAdmission:
    """Prices, admits and journals; every step may refuse, and then nothing is held."""

    admission: Admitter
    journal: AdmissionJournal
    store: UsageStore
    books: Books
    clock: Clock
    instance: str

    async def admit(self, order: OperationOrder) -> AdmittedOperation:
        """Raises `ModelApiError`, `OperationRefusedError`, `JournalError` or `AdmissionUnavailableError`."""
        if not self.store.room:
            raise unavailable("Operations cannot be recorded at the moment; try again.")
        book = self.books.in_force(self.clock.now())
        wanted = wanted_operation(book, name=order.name, quantity=order.quantity, unit=order.unit)
        admitted, report = await self._decide(order, wanted, book)
        try:
            self.journal.admitted(admitted, report=report)
        except Exception:
            self.admission.never_began(order.call_id, account_id=order.caller.account_id)
            raise
        if order.expires_at is not None:
            # No gateway owns a customer's hold: a restart must not report it.
            self.journal.ended([order.call_id])
        return AdmittedOperation(_facts(order, wanted, admitted, book=book, instance=self.instance), admitted)

    async def _decide(self, order: OperationOrder, wanted: WantedOperation, book: PriceBook) -> tuple[Admitted, bytes]:
        account_id = order.caller.account_id
        terms = self.admission.terms_of(account_id) or await self.admission.learn_terms(account_id)
        for _ in range(_ROUNDS):
            request = self._request(order, wanted, book, terms=terms)
            decided = await self.admission.admit(request)
            if isinstance(decided, Refused):
                raise OperationRefusedError(decided, problem=terms.payment_problem)
            if isinstance(decided, Admitted):
                return decided, request.report
            terms = decided.terms
        raise AdmissionUnavailableError("The account's terms do not come to rest; try again.")

    def _request(
        self, order: OperationOrder, wanted: WantedOperation, book: PriceBook, *, terms: AccountTerms
    ) -> AdmissionRequest:
        caller = order.caller
        return AdmissionRequest(
            call_id=order.call_id,
            account_id=caller.account_id,
            model=wanted.name,
            amounts=worst_amounts(book, wanted, terms=terms),
            terms=terms,
            user_id=caller.user_id,
            project_id=order.project_id,
            api_key_id=caller.api_key_id,
            near=None,
            report=self._report(order, wanted, book, terms=terms),
            expires_at=order.expires_at,
        )

    def _report(self, order: OperationOrder, wanted: WantedOperation, book: PriceBook, *, terms: AccountTerms) -> bytes:
        """What the sweeper says of it when it is never ended."""
        facts = call_facts(
            order.caller,
            project_id=order.project_id,
            surface=order.surface,
            book_version=book.version,
            operation=Operation(
                name=wanted.name,
                quantity=wanted.quantity,
                unit=wanted.unit,
                idempotency_key=order.idempotency_key,
                body_sha256=order.body_sha256,
            ),
        )
        return facts.report(
            instance=self.instance,
            route=ROUTE,
            plan_id=terms.plan_id,
            plan_version=terms.plan_version,
            markup_bps=terms.markup_for(wanted.name),
        )


class _Who(Protocol):
    @property
    def account_id(self) -> UUID: ...

    @property
    def user_id(self) -> UUID | None: ...

    @property
    def api_key_id(self) -> UUID | None: ...


def call_facts(
    who: _Who, *, project_id: UUID | None, surface: str, book_version: int, operation: Operation
) -> CallFacts:
    """The fields of the event that are known before the end."""
    return CallFacts(
        caller_part(who.account_id, project_id, user_id=who.user_id, api_key_id=who.api_key_id),
        account_id=who.account_id,
        surface=surface,
        streamed=False,
        model_asked=operation.name,
        price_book_version=book_version,
        operation=operation,
    )


def project_of(caller: Caller, asked: UUID | None) -> UUID | None:
    """A key of a project works for that project only."""
    if caller.project_id is None:
        return asked
    if asked not in {None, caller.project_id}:
        raise ModelApiError(403, "project: this API key belongs to another project")
    return caller.project_id


def _facts(
    order: OperationOrder, wanted: WantedOperation, admitted: Admitted, *, book: PriceBook, instance: str
) -> HoldFacts:
    caller = order.caller
    return HoldFacts(
        call_id=admitted.call_id,
        account_id=caller.account_id,
        user_id=caller.user_id,
        project_id=order.project_id,
        api_key_id=caller.api_key_id,
        surface=order.surface,
        instance=instance,
        operation=wanted.name,
        unit=wanted.unit,
        quantity=wanted.quantity,
        idempotency_key=order.idempotency_key,
        body_sha256=order.body_sha256,
        price_book_version=book.version,
        plan_id=admitted.plan_id,
        plan_version=admitted.plan_version,
        markup_bps=admitted.markup_bps,
        admitted_at=admitted.admitted_at,
        allocation=admitted.allocation,
        expires_at=order.expires_at,
    )
