"""What a refused call is told: the limit by name, when it is anew, where to get more.

Clients show these messages verbatim, and both official SDKs obey `x-should-retry` before anything else: true only
where waiting as long as `retry-after` says helps.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import ceil
from typing import Any, Final

from contracts.terms import Limits, PaymentProblem
from gateway.admission.types import Rate, Refused
from gateway.errors import ModelApiError, unavailable
from gateway.surfaces.amount_text import credits_text, rfc3339, spoken
from gateway.surfaces.limit_headers import LimitHeaders
from gateway.surfaces.payment_words import what_happened
from gateway.surfaces.types import Kind
from kit.errors import DomainError, UnauthenticatedError
from kit.tokens import Caller

# Longer than that an SDK does not wait either.
_MOST_RETRY_S: Final = 60
_LIMIT_SCOPE: Final = "route:/v1/limits"
_BUDGET_OWNERS: Final = {
    "account": "this account",
    "member": "you as a member of this account",
    "project": "this project",
    "api_key": "this API key",
}
_BUDGET_WINDOWS: Final = {"day": "daily", "month": "monthly", "total": "total"}


def may_read_balance(caller: Caller) -> bool:
    """Roles that see the account's billing, and keys that are not narrowed to something else."""
    if caller.role == "user":
        return False
    if not caller.scopes:
        return True
    routes = [scope for scope in caller.scopes if scope.startswith("route:")]
    return not routes or _LIMIT_SCOPE in routes


def refusal(
    refused: Refused,
    *,
    caller: Caller,
    model: str,
    upgrade_url: str,
    limits: Limits | None = None,
    problem: PaymentProblem | None = None,
    kind: Kind = "anthropic",
    now_s: float = 0.0,
) -> ModelApiError:
    """The answer to a call that admission refused; `limits` are the plan's, for messages that name them.

    `problem` is why nothing can be charged: where credit is what is missing, the answer names the card and the reason.

    The state of the limits stands in the head as vendor `kind` writes it; `now_s` is the wall clock.
    """
    told = _Told(refused, caller, model, upgrade_url=upgrade_url, limits=limits, problem=problem)
    error = _ANSWERS[refused.reason](told)
    for name, value in LimitHeaders().of_limits(refused.limits, kind=kind, now_s=now_s):
        error.headers.setdefault(name.decode(), value.decode())
    return error


def domain_refusal(error: DomainError) -> ModelApiError:
    """A `DomainError` of kit or admission, on a model route."""
    if isinstance(error, UnauthenticatedError):
        return ModelApiError(401, error.detail, headers={"www-authenticate": "Bearer"})
    if error.kind == "forbidden":
        return ModelApiError(403, error.detail)
    if error.kind == "too_many":
        return _too_many_requests(error)
    return unavailable(error.detail, retry_after_s=error.retry_after_s or 1)


def _too_many_requests(error: DomainError) -> ModelApiError:
    retry_after_s = max(1, error.retry_after_s or 1)
    headers = {"retry-after": str(retry_after_s), "x-should-retry": _helps(retry_after_s)}
    return ModelApiError(429, error.detail, headers=headers)


def _helps(retry_after_s: int) -> str:
    return "true" if retry_after_s <= _MOST_RETRY_S else "false"


class _Told:
    """A refusal, and to whom."""

    __slots__ = ("caller", "limits", "model", "problem", "refused", "upgrade_url")

    def __init__(
        self,
        refused: Refused,
        caller: Caller,
        model: str,
        *,
        upgrade_url: str,
        limits: Limits | None,
        problem: PaymentProblem | None,
    ) -> None:
        self.refused = refused
        self.caller = caller
        self.model = model
        self.upgrade_url = upgrade_url
        self.limits = limits or Limits()
        self.problem = problem

    @property
    def retry_after_s(self) -> int:
        """Rounded up, at least a second."""
        return max(1, ceil(self.refused.retry_after_s or 1))

    @property
    def limit(self) -> str:
        return self.refused.limit or self.refused.reason

    @property
    def renewed_at(self) -> datetime | None:
        return self.refused.resets_at or self.refused.limits.renews_at

    def details(self, code: str, **facts: Any) -> dict[str, Any]:
        named = {name: value for name, value in facts.items() if value is not None}
        return {**named, "details": {"error_code": code, "limit": self.limit, **named}}


def _out_of_credit(told: _Told) -> ModelApiError:
    refused = told.refused
    required = credits_text(refused.required.credit_nano)
    balance = credits_text(refused.left.credit_nano) if may_read_balance(told.caller) else None
    left = "" if balance is None else f", and {balance} credits are left"
    problem = told.problem
    if problem is not None and balance is None:
        # Whoever may not read the balance is told what happened, not with which card.
        problem = PaymentProblem(reason=problem.reason)
    # Not "balance is too low": Claude Code answers to those words with a text of its own and drops the rest.
    message = f"Your credits do not cover this call: it needs up to {required} credits{left}."
    if problem is not None:
        message += f" {what_happened(problem)}"
    elif told.renewed_at is not None:
        message += f" Your plan's allowance renews on {spoken(told.renewed_at)}."
    way = "Settle it" if problem is not None else "Add credits or upgrade"
    error = ModelApiError(
        402,
        f"{message} {way} at {told.upgrade_url}",
        extra=told.details(
            "insufficient_credits",
            balance=balance,
            required=required,
            resets_at=_exact(told.renewed_at),
            upgrade_url=told.upgrade_url,
            payment_problem=problem.model_dump(exclude_none=True) if problem is not None else None,
        ),
    )
    if balance is not None:
        error.headers["faregate-balance"] = balance
    return _rejected(error, told)


def _rate(told: _Told) -> ModelApiError:
    refused, limits = told.refused, told.limits
    tokens = refused.reason == "tokens_per_minute"
    size = _size(refused.limits.tokens if tokens else refused.limits.requests)
    size = size or _named(limits.tokens_per_minute if tokens else limits.requests_per_minute)
    what = "input tokens per minute" if tokens else "requests per minute"
    error = _too_many(
        told,
        f"This call would exceed your plan's limit{size} {what}. Try again in {_seconds(told.retry_after_s)}"
        f"{_at(refused.resets_at)}, or upgrade at {told.upgrade_url}",
        code="rate_limit_exceeded",
    )
    error.openai_type = "tokens" if tokens else "requests"
    return error


def _concurrency(told: _Told) -> ModelApiError:
    refused, limits = told.refused, told.limits
    member = refused.reason == "member_concurrency"
    size = _size(refused.limits.member_concurrency if member else refused.limits.concurrency)
    size = size or _named(limits.member_concurrency if member else limits.concurrency)
    whose = "one member of this account" if member else "this account"
    return _too_many(
        told,
        f"Too many calls at once: {whose} has reached your plan's limit{size} concurrent calls. "
        f"Try again when one of them has ended, or upgrade at {told.upgrade_url}",
        code="concurrency_limit_exceeded",
    )


def _too_many(told: _Told, message: str, *, code: str) -> ModelApiError:
    retry_after_s = told.retry_after_s
    headers = {"retry-after": str(retry_after_s), "x-should-retry": _helps(retry_after_s)}
    facts = told.details(code, resets_at=_exact(told.refused.resets_at), upgrade_url=told.upgrade_url)
    return ModelApiError(429, message, headers=headers, extra=facts)


def _budget(told: _Told) -> ModelApiError:
    _, _, rest = told.limit.partition(":")
    scope, _, window = rest.partition(":")
    owner = _BUDGET_OWNERS.get(scope, "this account")
    resets_at = told.refused.resets_at
    message = f"The {_BUDGET_WINDOWS.get(window, 'spend')} budget set for {owner} is used up."
    if resets_at is not None:
        message += f" It resets on {spoken(resets_at)}."
    error = ModelApiError(
        429,
        f"{message} Whoever manages the account can raise it at {told.upgrade_url}",
        error_type="billing_error",
        headers={"x-should-retry": "false"},
        extra=told.details("budget_exceeded", resets_at=_exact(resets_at), upgrade_url=told.upgrade_url),
    )
    if told.refused.retry_after_s is not None:
        error.headers["retry-after"] = str(told.retry_after_s)
    return _rejected(error, told)


def _rejected(error: ModelApiError, told: _Told) -> ModelApiError:
    """What Claude Code reads; without `retry-after` beside it on a 429 it would ask again for ever."""
    resets_at = told.refused.resets_at or (told.renewed_at if error.status == 402 else None)
    error.headers["anthropic-ratelimit-unified-status"] = "rejected"
    if resets_at is not None:
        error.headers["anthropic-ratelimit-unified-reset"] = str(ceil(resets_at.timestamp()))
    elif error.status == 429:
        # A budget without an end: no time mends it, but the header must stand there.
        error.headers.setdefault("retry-after", str(_MOST_RETRY_S * 60))
    return error


def _frozen(told: _Told) -> ModelApiError:
    return ModelApiError(
        403,
        f"This account is frozen, so no call can be made. See its billing page at {told.upgrade_url}",
        extra=told.details("account_frozen", upgrade_url=told.upgrade_url),
    )


def _closed(told: _Told) -> ModelApiError:
    return ModelApiError(403, "This account is closed.", extra=told.details("account_closed"))


def _model(told: _Told) -> ModelApiError:
    return ModelApiError(
        404,
        f"model: {told.model} is not part of this account's plan. Upgrade at {told.upgrade_url}",
        extra=told.details("model_not_in_plan", upgrade_url=told.upgrade_url),
    )


def _max_tokens(told: _Told) -> ModelApiError:
    most = told.limits.max_tokens
    return ModelApiError(
        400,
        f"max_tokens: more than your plan allows for one call{_in_brackets(most)}. Ask for less, or upgrade at "
        f"{told.upgrade_url}",
        extra=told.details("max_tokens_exceeded", upgrade_url=told.upgrade_url),
    )


def _max_price(told: _Told) -> ModelApiError:
    required = credits_text(told.refused.required.credit_nano)
    most = told.limits.max_price_nano
    allowed = _in_brackets(None if most is None else f"{credits_text(most)} credits")
    return ModelApiError(
        400,
        f"This call could cost up to {required} credits, more than your plan allows for one call{allowed}. "
        f"Shorten the prompt or lower max_tokens, or upgrade at {told.upgrade_url}",
        extra=told.details("max_price_exceeded", required=required, upgrade_url=told.upgrade_url),
    )


def _amount_too_large(told: _Told) -> ModelApiError:
    return ModelApiError(400, "max_tokens: the most that this call could cost is beyond any hold")


def _unconfirmed(told: _Told) -> ModelApiError:
    return unavailable(
        "Too many of this account's calls wait to be booked. Try again in a few seconds.",
        retry_after_s=max(5, told.retry_after_s),
    )


def _unavailable(told: _Told) -> ModelApiError:
    return unavailable(
        "Calls cannot be admitted at the moment. Try again in a few seconds.", retry_after_s=told.retry_after_s
    )


def _size(rate: Rate | None) -> str:
    return _named(None if rate is None else rate.limit)


def _named(limit: int | None) -> str:
    return "" if limit is None else f" of {limit:,}"


def _in_brackets(most: int | str | None) -> str:
    if most is None:
        return ""
    return f" ({most:,})" if isinstance(most, int) else f" ({most})"


def _seconds(count: int) -> str:
    return "1 second" if count == 1 else f"{count} seconds"


def _at(instant: datetime | None) -> str:
    return "" if instant is None else f" (at {rfc3339(instant)})"


def _exact(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


_ANSWERS: Final[Mapping[str, Callable[[_Told], ModelApiError]]] = {
    "credit": _out_of_credit,
    "frozen": _frozen,
    "closed": _closed,
    "model_not_allowed": _model,
    "max_tokens": _max_tokens,
    "max_price": _max_price,
    "requests_per_minute": _rate,
    "tokens_per_minute": _rate,
    "concurrency": _concurrency,
    "member_concurrency": _concurrency,
    "budget": _budget,
    "too_many_unconfirmed": _unconfirmed,
    "amount_too_large": _amount_too_large,
    "unavailable": _unavailable,
}
