"""What a surface is: one way of asking for a model, from the client's bytes to the client's bytes.

A surface knows its vendor's wire format and nothing else: no Redis, no Kafka, no sockets. The data plane calls it in
this order: `parse`, `estimate`, `splice`, a tee over what the provider answers, `closing` or `whole`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from gateway.admission.types import AccountTerms, Amounts
from gateway.errors import ModelApiError
from gateway.usage.seen import UsageSeen
from rating import PriceBook

Kind = Literal["anthropic", "openai"]
Terminal = Literal["stop", "error"]


@dataclass(slots=True)
class Ask:
    """What decides price and admission of a call; `raw` goes to the provider, but for what is spliced.

    `max_tokens` is None where the body names none; `wants_usage` says that a stream's usage chunk is the client's own.
    """

    raw: bytes
    body: Mapping[str, Any]
    model: str
    max_tokens: int | None
    streamed: bool
    wants_usage: bool = True


class AskedExchange(Protocol):
    """The part of a request that a surface reads."""

    body: bytes

    def header(self, name: bytes) -> bytes | None: ...


class ServingChoice(Protocol):
    """The part of routing's `Choice` that decides the price."""

    @property
    def model(self) -> str: ...

    @property
    def serving_models(self) -> tuple[str, ...]: ...

    @property
    def near(self) -> bool:
        """The account is near its limit, as its plan says."""
        ...


class Estimate(Protocol):
    """The most that a call can use, in every unit that might pay for it (money.md 7)."""

    @property
    def max_tokens(self) -> int:
        """The most output that the call may produce, all choices together: what `worst` is made of."""
        ...

    @property
    def clamped_max_tokens(self) -> int | None:
        """What `splice` must write into the body so that `max_tokens` holds; None when the body holds to it already."""
        ...

    @property
    def likely_input_tokens(self) -> int:
        """A guess without a margin: for rates, and for a charge without any count of the provider's."""
        ...

    def worst(self) -> Amounts: ...

    def with_output(self, tokens: int) -> Amounts:
        """The worst case of everything but output, with so much of that: the steps of an elastic hold."""
        ...

    def likely(self) -> Amounts:
        """What such a call usually costs: for a quote, never for a hold."""
        ...


class StreamTee(Protocol):
    """Reads the usage of one streamed answer and holds its ending back."""

    seen: UsageSeen
    terminal: Terminal | None
    error_type: str | None
    has_content: bool

    @property
    def between_events(self) -> bool:
        """Whether what has gone out ends with an event; otherwise nothing of ours can follow it."""
        ...

    @property
    def held_bytes(self) -> int: ...

    @property
    def delivered_tokens(self) -> int:
        """Output as estimated from what was delivered."""
        ...

    def feed(self, data: bytes) -> bytes:
        """What may go out at once; from the event that ends the stream on, nothing."""
        ...

    def rest(self) -> bytes:
        """The held-back ending, once it may go out."""
        ...


class MessageTee(Protocol):
    """Reads the usage of an answer that is not streamed."""

    seen: UsageSeen
    has_content: bool
    is_message: bool

    @property
    def delivered_tokens(self) -> int: ...


class Surface(Protocol):
    """Stateless; one object per route. `closing` and `whole` are asked only where it `adds_to_answers`."""

    name: str
    kind: Kind
    upstream_path: str
    ping: bytes
    adds_to_answers: bool

    def parse(self, exchange: AskedExchange) -> Ask:
        """Raises `ModelApiError` naming the field that keeps the call from being priced."""
        ...

    def estimate(
        self,
        ask: Ask,
        choice: ServingChoice,
        *,
        book: PriceBook,
        terms: AccountTerms,
        at: datetime,
    ) -> Estimate:
        """Raises `ModelApiError` for what has no price."""
        ...

    def splice(
        self, ask: Ask, *, model: str | None = None, max_tokens: int | None = None, service_tier: str | None = None
    ) -> bytes:
        """The body for the provider: the client's bytes, but for what is given and for the usage of a stream."""
        ...

    def stream_tee(self, ask: Ask) -> StreamTee: ...

    def message_tee(self, ask: Ask, body: bytes) -> MessageTee: ...

    def closing(self, ask: Ask, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        """What follows the provider's last event; mostly nothing."""
        ...

    def whole(self, ask: Ask, body: bytes, *, ending: object, price_nano: int, balance_nano: int | None) -> bytes:
        """The JSON answer as the client gets it; mostly the provider's bytes."""
        ...

    def error_body(self, error: ModelApiError, request_id: str) -> bytes: ...

    def error_event(self, error: ModelApiError, request_id: str) -> bytes: ...
