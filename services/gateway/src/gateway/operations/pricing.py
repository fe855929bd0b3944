"""What an operation is worth, in the units by which admission counts."""

from dataclasses import dataclass

from gateway.admission.types import AccountTerms, Amounts
from gateway.errors import ModelApiError
from rating import Charge, PriceBook, QuantityError, UnpricedOperationError, operation_charge, operation_price


@dataclass(frozen=True, slots=True)
class WantedOperation:
    """What a customer's server asks for; `unit` is the price book's word, once it is known."""

    name: str
    quantity: int
    unit: str


def wanted_operation(book: PriceBook, *, name: str, quantity: int, unit: str | None) -> WantedOperation:
    """Raises `ModelApiError` for a name without a price, which is never free, and for another unit than the book's."""
    try:
        price = operation_price(book, name)
    except UnpricedOperationError:
        raise ModelApiError(404, f"operation: {name} is not sold; the price book has no price for it") from None
    if unit is not None and unit != price.unit:
        raise ModelApiError(400, f"unit: {name} is counted in {price.unit}")
    return WantedOperation(name, quantity, price.unit)


def charged(book: PriceBook, *, name: str, quantity: int, markup_bps: int) -> Charge:
    """The same figures as the ledger's, at the same version and markup."""
    try:
        return operation_charge(book, name, quantity, markup_bps)
    except QuantityError:
        raise ModelApiError(400, "quantity: Input is out of bounds") from None


def amounts_of(charge: Charge) -> Amounts:
    """One request unit, no tokens; past the plan an operation costs its price, whatever tokens cost there."""
    return Amounts(
        credit_nano=charge.price_nano,
        requests=1,
        overage_nano=charge.price_nano,
        cost_nano=charge.cost_nano,
    )


def worst_amounts(book: PriceBook, wanted: WantedOperation, *, terms: AccountTerms) -> Amounts:
    """What a hold for it reserves."""
    markup_bps = terms.markup_for(wanted.name)
    return amounts_of(charged(book, name=wanted.name, quantity=wanted.quantity, markup_bps=markup_bps))
