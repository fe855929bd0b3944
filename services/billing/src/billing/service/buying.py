"""How much of an offer, and in which currency: what an order says, checked against what is sold."""

from typing import Protocol

from billing.domain.amounts import money_text
from billing.domain.catalogue import PlanSpec, TopUpSpec
from billing.domain.offers import Purchase, Terms
from billing.errors import AmountOutOfBoundsError, CurrencyNotSoldError, NotForThisOfferError


class Asked(Protocol):
    """The parts of an order that say how much."""

    @property
    def seats(self) -> int | None: ...
    @property
    def amount_minor(self) -> int | None: ...
    @property
    def currency(self) -> str | None: ...


def chosen(terms: Terms, asked: Asked) -> Purchase:
    """What is bought; raises an error that names the field which does not fit the offer."""
    if isinstance(terms.spec, TopUpSpec):
        return _top_up(terms, terms.spec, asked)
    if asked.amount_minor is not None:
        raise NotForThisOfferError("This offer has a price of its own.", field="amount")
    currency = asked.currency or terms.currency
    if currency not in terms.prices:
        sold = ", ".join(terms.prices)
        raise CurrencyNotSoldError(f"This offer is sold in {sold}.", field="currency")
    if terms.is_plan:
        return Purchase(terms, currency, checked_seats(terms.plan, asked.seats))
    if asked.seats is not None:
        raise NotForThisOfferError("Only plans that are paid per seat have seats.", field="seats")
    return Purchase(terms, currency)


def _top_up(terms: Terms, spec: TopUpSpec, asked: Asked) -> Purchase:
    least, most = money_text(spec.least_minor), money_text(spec.most_minor)
    if asked.seats is not None:
        raise NotForThisOfferError("Only plans that are paid per seat have seats.", field="seats")
    if asked.currency not in (None, terms.currency):
        raise CurrencyNotSoldError(f"Top-ups are sold in {terms.currency}.", field="currency")
    if asked.amount_minor is None:
        raise AmountOutOfBoundsError(f"Say how much: between {least} and {most} {terms.currency}.", field="amount")
    if not spec.least_minor <= asked.amount_minor <= spec.most_minor:
        raise AmountOutOfBoundsError(f"A top-up is between {least} and {most} {terms.currency}.", field="amount")
    return Purchase(terms, terms.currency, amount_minor=asked.amount_minor)


def checked_seats(plan: PlanSpec, seats: int | None, *, otherwise: int = 1) -> int:
    """So many seats, where the plan is paid by seat, and no more than it has."""
    if not plan.per_seat:
        if seats not in (None, 1):
            raise NotForThisOfferError("This plan is not paid per seat.", field="seats")
        return 1
    wanted = otherwise if seats is None else seats
    if plan.seats is not None and wanted > plan.seats:
        raise NotForThisOfferError(f"This plan has at most {plan.seats} seats.", field="seats")
    return wanted
