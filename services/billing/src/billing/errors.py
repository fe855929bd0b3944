"""What billing refuses, and what it waits for."""

from kit.errors import ConflictError, DomainError, ForbiddenError, InvalidError, NotFoundError, UnavailableError


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
