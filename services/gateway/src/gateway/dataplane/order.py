"""A call as it is ordered: who, what, on which terms; complete once it is admitted."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from gateway.admission.types import AccountTerms, Admitted, Amounts
from gateway.dataplane.exchange import Exchange
from gateway.identity.credential import Credential
from gateway.routing.types import Choice
from gateway.surfaces.types import Ask, Estimate, Surface
from gateway.usage.event import CallFacts
from rating import PriceBook

_NOTHING: Final[Mapping[str, Any]] = {}


class Order:
    """Filled in step by step by `PaidRoute`; what is not known yet is not set."""

    __slots__ = (
        "admitted",
        "amounts",
        "ask",
        "began_s",
        "book",
        "call_id",
        "choice",
        "credential",
        "estimate",
        "exchange",
        "facts",
        "is_estimated",
        "may_see_balance",
        "near",
        "people",
        "report",
        "rounds",
        "surface",
        "terms",
    )  # fmt: skip

    exchange: Exchange
    surface: Surface
    began_s: float
    rounds: int
    credential: Credential
    ask: Ask
    call_id: UUID
    terms: AccountTerms
    near: bool
    book: PriceBook
    choice: Choice
    estimate: Estimate
    amounts: Amounts
    facts: CallFacts
    report: bytes
    people: str
    may_see_balance: bool
    admitted: Admitted

    def __init__(self, exchange: Exchange, surface: Surface, *, began_s: float) -> None:
        self.exchange = exchange
        self.surface = surface
        self.began_s = began_s
        self.rounds = 0
        self.is_estimated = False

    @property
    def call_text(self) -> bytes:
        """The call's id as clients read it."""
        digits = b"%032x" % self.call_id.int
        return b"%b-%b-%b-%b-%b" % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])

    @property
    def is_elastic(self) -> bool:
        """Whether the hold grows with what is delivered (money.md 8)."""
        return self.ask.streamed and self.terms.admission == "elastic"

    def release_body(self) -> None:
        """The answer has begun, so nobody will be asked again: an open stream keeps nothing of its request."""
        self.ask.raw, self.ask.body = b"", _NOTHING
        self.exchange.drop_body()
