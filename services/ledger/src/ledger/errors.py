"""What the ledger refuses, in its own words."""

from kit.errors import ConflictError, DomainError, ForbiddenError, InvalidError, NotFoundError, UnavailableError


class UnknownAccountError(NotFoundError):
    code = "unknown_account"


class UnknownRequestError(NotFoundError):
    code = "unknown_request"


class UnknownReferenceError(NotFoundError):
    code = "unknown_reference"


class UnknownSharedProjectError(NotFoundError):
    code = "unknown_shared_project"


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


class PeriodError(InvalidError):
    code = "invalid_period"


class WindowError(InvalidError):
    """A window that is empty, or longer than one answer may be asked for."""

    code = "invalid_window"


class LevelsError(InvalidError):
    code = "invalid_levels"


class UnknownParameterError(InvalidError):
    code = "unknown_parameter"


class UnknownPromoError(NotFoundError):
    code = "unknown_promo_code"


class PromoTakenError(ConflictError):
    code = "promo_code_exists"


class PromoExpiredError(ConflictError):
    code = "promo_code_expired"


class PromoUsedUpError(ConflictError):
    code = "promo_code_used_up"


class PromoRedeemedError(ConflictError):
    """An account may redeem a code once."""

    code = "promo_code_redeemed"


class RefundError(ConflictError):
    """A call gives back no more than it was charged."""

    code = "refund_too_large"


class BehindError(UnavailableError):
    """The ledger has not applied everything that Kafka held for the account when it was asked (money.md 29)."""

    code = "ledger_behind"


class RetentionError(RuntimeError):
    """Kafka may bring a call again when the charge that would tell is gone (money.md 18)."""


class RetentionTooShortError(InvalidError):
    """Usage detail would leave the database before its days are over."""

    code = "retention_too_short"


class HoldStandsError(ConflictError):
    """The account is frozen already, or is not frozen by an operator."""

    code = "hold_stands"


class UnknownPriceBookError(NotFoundError):
    code = "unknown_price_book"
