"""What a refused call is told."""

from typing import Final

from contracts.money import NANO_PER_CREDIT
from gateway.admission.types import Refused
from gateway.errors import ModelApiError, unavailable
from kit.errors import DomainError, UnauthenticatedError
from kit.tokens import Caller

_MAY_NOT_SEE_BALANCE: Final = frozenset({"user"})


def credits_text(amount_nano: int) -> str:
    """Nano-credits as a decimal string in credits."""
    whole, nano = divmod(abs(amount_nano), NANO_PER_CREDIT)
    text = f"{whole}.{nano:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount_nano < 0 else text


def refusal(refused: Refused, *, caller: Caller, model: str, upgrade_url: str) -> ModelApiError:
    """The answer to a call that admission refused."""
    match refused.reason:
        case "credit":
            return _out_of_credit(refused, caller=caller, upgrade_url=upgrade_url)
        case "frozen":
            return ModelApiError(403, "This account is frozen; see its billing page or contact the operator.")
        case "closed":
            return ModelApiError(403, "This account is closed.")
        case "model_not_allowed":
            return ModelApiError(404, f"model: {model} is not part of this account's plan")
        case "amount_too_large":
            return ModelApiError(400, "max_tokens: the most that this call could cost is beyond any hold")
        case "too_many_unconfirmed":
            return unavailable("Too many of this account's calls wait to be booked; try again.", retry_after_s=5)


def domain_refusal(error: DomainError) -> ModelApiError:
    """A `DomainError` of kit or admission, on the model route."""
    if isinstance(error, UnauthenticatedError):
        return ModelApiError(401, error.detail, headers={"www-authenticate": "Bearer"})
    if error.kind == "forbidden":
        return ModelApiError(403, error.detail)
    return unavailable(error.detail, retry_after_s=error.retry_after_s or 1)


def _out_of_credit(refused: Refused, *, caller: Caller, upgrade_url: str) -> ModelApiError:
    required = credits_text(refused.required_nano)
    facts = {"required": required, "upgrade_url": upgrade_url}
    have = "the account's credits do not suffice"
    if caller.role not in _MAY_NOT_SEE_BALANCE:
        facts["balance"] = credits_text(refused.available_nano)
        have = f"{facts['balance']} credits are left"
    return ModelApiError(
        402,
        f"Your credit balance is too low: {have}, and this call needs up to {required}. Add credits at {upgrade_url}",
        extra={**facts, "details": {"error_code": "insufficient_credits", **facts}},
    )
