"""A paid route: who, what, on which terms, admit; then the call.

The steps stand in the order in which a call meets them. None waits: what has to be asked for continues in a callback,
or, where that is rare, in a task.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

from gateway.admission.hold import packed_people
from gateway.admission.types import AccountTerms, AdmissionRequest, Admitted, Refused, Replan
from gateway.catalog.prices import PriceBooks
from gateway.dataplane.call import Call
from gateway.dataplane.call_parts import CallParts
from gateway.dataplane.elastic import first_step
from gateway.dataplane.errands import Errands
from gateway.dataplane.exchange import Exchange
from gateway.dataplane.faults import record_fault
from gateway.dataplane.head_facts import Described
from gateway.dataplane.order import Order
from gateway.dataplane.refusing import refuse
from gateway.errors import ModelApiError, unavailable
from gateway.identity.credential import Credential
from gateway.identity.credentials import Credentials
from gateway.identity.presented import digest_of
from gateway.routing.conversation import conversation_key
from gateway.routing.types import Choice, PlanTerms, ProviderKind
from gateway.surfaces.refusals import may_read_balance, refusal
from gateway.surfaces.types import Surface
from gateway.usage.client import ClientParts
from gateway.usage.event import CallDescriptions, CallerParts, CallFacts
from kit.errors import DomainError
from kit.identity import check_may_write
from kit.ids import uuid7

_MOST_ROUNDS: Final = 3


class Admitter(Protocol):
    """The part of admission that decides."""

    def terms_of(self, account_id: UUID) -> AccountTerms | None: ...

    async def learn_terms(self, account_id: UUID) -> AccountTerms: ...

    def admit_soon(self, request: AdmissionRequest, then: Callable[[Any], None]) -> None:
        """`then` gets `Admitted`, `Refused`, `Replan`, or the exception for which it could not be decided."""
        ...


class Chooser(Protocol):
    """The part of routing that decides who may serve."""

    def choose(
        self, model: str, *, kind: ProviderKind, terms: PlanTerms, conversation: bytes, near: bool = False
    ) -> Choice:
        """Raises `ModelApiError` for a model that is not sold on these terms."""
        ...


class RefusalNotes(Protocol):
    """Where refusals are counted (money.md 10)."""

    def note(self, account_id: UUID, refused: Refused, *, model: str) -> None: ...


@dataclass(frozen=True, slots=True)
class PaidParts:
    """What all paid routes of a process share."""

    call: CallParts
    credentials: Credentials
    prices: PriceBooks
    admission: Admitter
    routing: Chooser
    refusals: RefusalNotes
    errands: Errands
    callers: CallerParts
    clients: ClientParts
    upgrade_url: str


class PaidRoute:
    """One surface behind admission; the only kind of handler that a paid path may have."""

    def __init__(self, parts: PaidParts, surface: Surface) -> None:
        self._parts = parts
        self._surface = surface
        self._descriptions = CallDescriptions()

    @property
    def upstream_path(self) -> str:
        return self._surface.upstream_path

    def __call__(self, exchange: Exchange) -> None:
        """Owns the exchange from here on; every request gets one answer."""
        order = Order(exchange, self._surface, began_s=self._parts.call.clock.monotonic())
        try:
            self._identify(order)
        except Exception as error:  # noqa: BLE001  # nobody above could answer the client
            self._thrown(order, error)

    def _thrown(self, order: Order, error: Exception) -> None:
        """Whatever a step throws is the answer."""
        if isinstance(error, (ModelApiError, DomainError)):
            refuse(order, error)
            return
        record_fault("gateway.request_died", error, path=order.surface.name)
        refuse(order, ModelApiError(500, "Something went wrong on our side; it has been recorded."))

    def _later(self, order: Order, work: Coroutine[Any, Any, Any], then: Callable[..., None]) -> None:
        """The rare way of a step: ask somebody, then go on."""

        async def ask() -> None:
            try:
                then(order, await work)
            except Exception as error:  # noqa: BLE001  # as in `__call__`
                self._thrown(order, error)

        self._parts.errands.run(ask())

    def _identify(self, order: Order) -> None:
        exchange, credentials = order.exchange, self._parts.credentials
        headers, facts = exchange.headers, exchange.facts
        if facts.credential:
            credential = credentials.again(facts.credential, headers, peer=exchange.peer)
        else:
            credential = credentials.now(headers, peer=exchange.peer)
        if credential is None:
            self._later(order, credentials.of(headers, peer=exchange.peer), self._read)
            return
        if not facts.credential:
            facts.credential = digest_of(headers)
        self._read(order, credential)

    def _read(self, order: Order, credential: Credential) -> None:
        """What is asked for, and whether calls are taken at all."""
        parts, exchange = self._parts, order.exchange
        order.credential = credential
        order.ask = self._surface.parse(exchange)
        credential.check(self._surface.name)
        check_may_write(credential.caller)
        if parts.call.calls.closing:
            raise closing()
        if not parts.call.publisher.room:
            raise unavailable("Calls cannot be recorded at the moment; try again.")
        call_id = order.call_id = uuid7(parts.call.clock)
        exchange.request_id = "req_%032x" % call_id.int  # noqa: UP031  # `hex` of a UUID costs four times as much
        account_id = credential.caller.account_id
        terms = parts.admission.terms_of(account_id)
        if terms is None:
            self._later(order, parts.admission.learn_terms(account_id), self._plan)
        else:
            self._plan(order, terms)

    def _plan(self, order: Order, terms: AccountTerms, near: bool = False) -> None:  # noqa: FBT001, FBT002
        """Which model, where, at what price at most."""
        parts, exchange, ask = self._parts, order.exchange, order.ask
        now = parts.call.clock.now()
        book = order.book = parts.prices.in_force(now)
        order.terms, order.near = terms, near
        choice = order.choice = parts.routing.choose(
            ask.model,
            kind=self._surface.kind,
            terms=terms,
            conversation=conversation_key(
                exchange.facts.sessions_in(exchange.headers), order.credential.caller.account_id, exchange.body
            ),
            near=near,
        )
        order.credential.check(self._surface.name, ask.model, choice.model)
        order.estimate = self._surface.estimate(ask, choice, book=book, terms=terms, at=now)
        self._admit(order)

    def _admit(self, order: Order) -> None:
        """Check and reserve, in one round trip."""
        order.rounds += 1
        caller, estimate, terms = order.credential.caller, order.estimate, order.terms
        if order.is_elastic:
            order.amounts = estimate.with_output(first_step(estimate, terms.terms.elastic_step_tokens))
        else:
            order.amounts = estimate.worst()
        order.is_estimated = True
        self._describe(order)
        self._parts.admission.admit_soon(
            AdmissionRequest(
                call_id=order.call_id,
                account_id=caller.account_id,
                user_id=caller.user_id,
                project_id=caller.project_id,
                api_key_id=caller.api_key_id,
                model=order.choice.model,
                amounts=order.amounts,
                terms=terms,
                near=order.near,
                max_tokens=estimate.max_tokens,
                report=order.report,
                people=order.people,
            ),
            partial(self._decided, order),
        )

    def _decided(self, order: Order, answer: Admitted | Refused | Replan | Exception) -> None:
        if isinstance(answer, Admitted):
            order.admitted = answer
            order.near = answer.near
            Call(self._parts.call, order).begin()
            return
        try:
            self._denied(order, answer)
        except Exception as error:  # noqa: BLE001  # as in `__call__`
            self._thrown(order, error)

    def _denied(self, order: Order, answer: Refused | Replan | Exception) -> None:
        if isinstance(answer, Refused):
            raise self._refused(order, answer)
        if isinstance(answer, Exception):
            raise answer
        if order.rounds >= _MOST_ROUNDS:
            raise unavailable("The account's terms do not come to rest; try again.")
        self._plan(order, answer.terms, answer.near)

    def _describe(self, order: Order) -> None:
        """What the event and an orphan's report say, whatever happens now; mostly what the last call's said."""
        facts, ask, choice = order.exchange.facts, order.ask, order.choice
        said = choice.targets[0], choice.model, ask.model, ask.streamed, order.near
        made_of = (order.credential, order.terms, order.book, *said)
        described = facts.described
        if described is None or described.made_of != made_of:
            caller = order.credential.caller
            people = packed_people(caller.user_id, caller.project_id, caller.api_key_id)
            described = Described(made_of, *self._description(order), people, may_read_balance(caller))
            facts.described = described
        _, order.facts, order.report, order.people, order.may_see_balance = described

    def _description(self, order: Order) -> tuple[CallFacts, bytes]:
        parts, target, terms = self._parts, order.choice.targets[0], order.terms
        caller = order.credential.caller
        return self._descriptions.of(
            parts.callers.of(caller),
            parts.clients.of(order.exchange.headers),
            account_id=caller.account_id,
            surface=self._surface.name,
            streamed=order.ask.streamed,
            model_asked=order.ask.model,
            price_book_version=order.book.version,
            near_limit=order.near,
            instance=parts.call.publisher.instance,
            route=target.route,
            credential_id=target.credential_id,
            plan_id=terms.plan_id,
            plan_version=terms.plan_version,
            markup_bps=terms.markup_for(order.choice.model),
        )

    def _refused(self, order: Order, refused: Refused) -> ModelApiError:
        caller = order.credential.caller
        self._parts.refusals.note(caller.account_id, refused, model=order.ask.model)
        return refusal(
            refused,
            caller=caller,
            model=order.ask.model,
            upgrade_url=self._parts.upgrade_url,
            limits=order.terms.limits,
            problem=order.terms.payment_problem,
            kind=self._surface.kind,
            now_s=self._parts.call.clock.now().timestamp(),
        )


def closing() -> ModelApiError:
    """The answer while the process shuts down."""
    error = unavailable("The gateway is restarting; try again.")
    error.headers["connection"] = "close"
    return error
