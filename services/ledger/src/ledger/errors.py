"""What the ledger refuses, in its own words."""

from kit.errors import ConflictError, DomainError, ForbiddenError, InvalidError, NotFoundError, UnavailableError


class UnknownAccountError(NotFoundError):
    code = "unknown_account"


class UnknownRequestError(NotFoundError):
    code = "unknown_request"


class UnknownReferenceError(NotFoundError):
    code = "unknown_reference"


class InsufficientCreditsError(ConflictError):
    """An adjustment would take more than the account can use; `allow_debt` lets it."""

    code = "insufficient_credits"


class AmountError(InvalidError):
    code = "invalid_amount"


class OtherAccountError(ForbiddenError):
    code = "other_account"


class RoleError(ForbiddenError):
    code = "role_not_allowed"


class LeadTimeError(InvalidError):
    """A price change is announced at least five minutes before it takes effect (money.md 19)."""

    code = "lead_time_too_short"


class PriceBookUnchangedError(ConflictError):
    code = "price_book_unchanged"


class ReversalMismatchError(DomainError):
    """A reversal names a payment of another account or another amount than was paid."""

    code = "reversal_mismatch"


class BehindError(UnavailableError):
    """The ledger has not applied everything that Kafka held for the account when it was asked (money.md 29)."""

    code = "ledger_behind"


class RetentionError(RuntimeError):
    """Kafka may bring a call again when the charge that would tell is gone (money.md 18)."""
