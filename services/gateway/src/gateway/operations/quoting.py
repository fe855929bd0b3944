"""What a call would cost, who would pay for it, and whether it would be admitted now; nothing is taken.

Admission's script decides; this says beforehand, from the same figures, what it would say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from contracts.gateway import RefusalReason
from contracts.money import MAX_AMOUNT
from gateway.admission.types import Amounts, Rate
from gateway.operations.standing import OwnStanding
from rating.burning import Burn, Room, Value, burn

Payer = Literal["request", "token", "credit", "overage"]


class Payment(NamedTuple):
    """What grants in one unit would pay, or the overage; credits and overage in nano-credits."""

    payer: Payer
    amount: int


class Obstacle(NamedTuple):
    """Why a call would be refused now."""

    reason: RefusalReason
    limit: str | None = None
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """`held` is what admission would reserve at first: less than `worst` where holds are elastic."""

    model: str
    worst: Amounts
    likely: Amounts
    held: Amounts
    payments: Sequence[Payment]
    unpaid_nano: int
    obstacle: Obstacle | None


def quote(
    standing: OwnStanding, *, model: str, worst: Amounts, likely: Amounts, held: Amounts, max_tokens: int
) -> Quote:
    """`payments` are for the worst case."""
    burnt = _burnt(standing, worst)
    return Quote(
        model=model,
        worst=worst,
        likely=likely,
        held=held,
        payments=_payments(burnt),
        unpaid_nano=burnt.unpaid_nano,
        obstacle=_obstacle(standing, held, model=model, max_tokens=max_tokens),
    )


def _burnt(standing: OwnStanding, amounts: Amounts) -> Burn:
    value = Value(amounts.tokens, amounts.credit_nano, amounts.overage_nano, amounts.requests)
    left, terms = standing.left, standing.account.terms.terms
    room = Room(left.requests, left.tokens, left.credit_nano, left.overage_nano)
    return burn(value, room, request_max_price_nano=terms.request_max_price_nano)


def _payments(burnt: Burn) -> list[Payment]:
    """In the order of paying."""
    paid: tuple[tuple[Payer, int], ...] = (
        ("request", burnt.requests),
        ("token", burnt.tokens),
        ("credit", burnt.credit_nano),
        ("overage", burnt.overage_nano),
    )
    return [Payment(payer, amount) for payer, amount in paid if amount]


def _obstacle(standing: OwnStanding, held: Amounts, *, model: str, max_tokens: int) -> Obstacle | None:
    """The first that the script meets, in its order."""
    checks = (
        _of_account(standing),
        _of_call(standing, held, model=model, max_tokens=max_tokens),
        _of_budgets(standing, held),
        _of_rates(standing, held),
        _of_credit(standing, held),
    )
    return next((found for found in checks if found is not None), None)


def _of_account(standing: OwnStanding) -> Obstacle | None:
    if standing.account.account == "frozen":
        return Obstacle("frozen")
    return Obstacle("closed") if standing.account.account == "closed" else None


def _of_call(standing: OwnStanding, held: Amounts, *, model: str, max_tokens: int) -> Obstacle | None:
    terms = standing.account.terms
    limits = terms.limits
    if terms.models is not None and model not in terms.models:
        return Obstacle("model_not_allowed")
    if limits.max_tokens is not None and max_tokens > limits.max_tokens:
        return Obstacle("max_tokens", "max_tokens")
    if limits.max_price_nano is not None and held.credit_nano > limits.max_price_nano:
        return Obstacle("max_price", "max_price")
    if max(held.credit_nano, held.tokens, held.overage_nano, held.rate_tokens) > MAX_AMOUNT:
        return Obstacle("amount_too_large")
    return None


def _of_budgets(standing: OwnStanding, held: Amounts) -> Obstacle | None:
    for budget in standing.budgets:
        if budget.spent_nano + budget.in_flight_nano + held.credit_nano > budget.limit_nano:
            return Obstacle("budget", f"budget:{budget.scope}:{budget.window}", budget.resets_at)
    return None


def _of_rates(standing: OwnStanding, held: Amounts) -> Obstacle | None:
    account = standing.account
    rates: tuple[tuple[RefusalReason, Rate | None, int], ...] = (
        ("requests_per_minute", account.requests, 1),
        ("tokens_per_minute", account.tokens, held.rate_tokens),
        ("concurrency", standing.concurrency, 1),
        ("member_concurrency", standing.member_concurrency, 1),
    )
    for reason, rate, wanted in rates:
        if rate is not None and rate.remaining < wanted:
            return Obstacle(reason, reason, rate.reset_at if wanted <= rate.limit else None)
    return None


def _of_credit(standing: OwnStanding, held: Amounts) -> Obstacle | None:
    if not _burnt(standing, held).unpaid_nano or standing.account.terms.terms.overage.policy == "warn":
        return None
    return Obstacle("credit", "credit", standing.account.renews_at)
