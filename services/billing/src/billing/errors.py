"""What billing refuses, and what it waits for."""

from collections.abc import Mapping
from typing import Any, ClassVar

from kit.errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidError,
    Kind,
    NotFoundError,
    UnavailableError,
)


class CatalogueError(Exception):
    """The catalogue file cannot be used; the message names each field and the reason."""


class UnknownOfferError(NotFoundError):
    code = "unknown_offer"


class OfferNotSoldError(DomainError):
    """The offer exists, but nobody can buy it: it is free or withdrawn."""

    code = "offer_not_sold"


class AlreadySubscribedError(ConflictError):
    code = "already_subscribed"


class RoleMayNotBuyError(ForbiddenError):
    code = "role_may_not_buy"


class PathClosedError(ForbiddenError):
    """The operator has not opened this way of paying, or has closed it."""

    code = "path_closed"


class AmountOutOfBoundsError(InvalidError):
    code = "amount_out_of_bounds"


class CurrencyNotSoldError(InvalidError):
    """The offer has no price in this currency, or the account pays in another one."""

    code = "currency_not_sold"


class NotForThisOfferError(InvalidError):
    """The offer is not sold like that."""

    code = "not_for_this_offer"


class NoSubscriptionError(ConflictError):
    code = "no_subscription"


class ChangeRefusedError(ConflictError):
    """The subscription cannot be changed like that now."""

    code = "change_refused"


class AlreadySoError(DomainError):
    """What was asked for is so already; `answer` is what to say where an earlier use of the same key did it."""

    def __init__(self, detail: str, *, answer: Mapping[str, Any], field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.answer = answer


class AlreadyChangedError(AlreadySoError):
    kind = "conflict"
    code = "change_refused"


class AlreadyEndedError(AlreadySoError):
    kind = "conflict"
    code = "no_subscription"


class NoSuchPaymentMethodError(AlreadySoError):
    """Removed before, or never there."""

    kind = "not_found"
    code = "unknown_payment_method"


class NoSuchTaxIdError(AlreadySoError):
    """Removed before, or never there."""

    kind = "not_found"
    code = "unknown_tax_id"


class NoPaymentMethodError(ConflictError):
    code = "no_payment_method"


class PaymentMethodInUseError(ConflictError):
    code = "payment_method_in_use"


class UnknownPaymentMethodError(NotFoundError):
    code = "unknown_payment_method"


class TaxIdRefusedError(InvalidError):
    """Stripe does not take the type or the number."""

    code = "tax_id_refused"


class TaxesNotReadyError(ConflictError):
    """Stripe would collect no taxes; the message names each thing that is missing."""

    code = "taxes_not_ready"


class TaxLocationError(DomainError):
    """Stripe does not know where the customer is, so nobody knows which taxes are due."""

    code = "tax_location_unknown"


class UnknownPaymentError(NotFoundError):
    code = "unknown_payment"


class UnknownInvoiceError(NotFoundError):
    code = "unknown_invoice"


class ServiceForbiddenError(ForbiddenError):
    code = "service_not_allowed"


class ReturnAddressError(InvalidError):
    """A page that we would send the buyer to is not one of ours."""

    code = "invalid_return_address"


class UnknownSessionError(NotFoundError):
    code = "unknown_session"


class AccountNotReadyError(UnavailableError):
    """The account's creation has not arrived here yet."""

    code = "account_not_ready"


class StripeUnavailableError(UnavailableError):
    code = "stripe_unavailable"


class StripeRefusedError(DomainError):
    """Stripe says that the request is wrong."""

    code = "stripe_refused"


class CardDeclinedError(DomainError):
    """The bank said no, or wants the customer to confirm; nothing was taken."""

    kind: ClassVar[Kind] = "payment"
    code = "card_declined"

    def __init__(
        self,
        detail: str,
        *,
        reason: str = "card_declined",
        payment_id: str | None = None,
        card: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, extra={"reason": reason, "card": card})
        self.reason = reason
        self.payment_id = payment_id


class StripeMissingError(DomainError):
    """Stripe does not have the object."""

    code = "stripe_missing"


class StripeShapeError(DomainError):
    """An object of Stripe's does not have the shape that its API version promises."""

    code = "stripe_shape"


class PaymentRefusedError(DomainError):
    """A payment, subscription or session contradicts our records; a person has to look at it."""

    code = "payment_refused"


class NotOursError(DomainError):
    """The object belongs to something else that uses the same Stripe account."""

    code = "not_ours"


class FeeNotKnownError(DomainError):
    """Stripe has the money but not its fee yet; it follows within moments."""

    code = "fee_not_known"


class LeaseLostError(DomainError):
    """Another worker took the customer over; what was read may be stale."""

    code = "lease_lost"


class ForgedWebhookError(Exception):
    """The signature does not vouch for these bytes now; the message names the reason, never the content."""
