"""`GET /v1/limits`: how near every limit is, without trying it."""

from collections.abc import Iterator

from fastapi import APIRouter, Request

from gateway.admission.caller import Admission
from gateway.admission.types import BudgetInUse, Rate
from gateway.entrypoints.own_api import OwnApi, OwnRoute, errors
from gateway.entrypoints.own_schemas import (
    AmountStanding,
    BudgetStanding,
    CallCeilings,
    LimitsAnswer,
    LimitStanding,
)
from gateway.operations.standing import OwnStanding
from gateway.surfaces.amount_text import credits_text
from gateway.surfaces.refusals import may_read_balance

LIMITS = "/v1/limits"
_IN_NANO = frozenset({"credit", "overage"})


def build_router(admission: Admission, own: OwnApi) -> APIRouter:
    router = APIRouter(tags=["models"], route_class=OwnRoute)

    @router.get(
        LIMITS,
        summary="The state of every limit and budget",
        operation_id="get_limits",
        responses=errors(401, 403, 503),
    )
    async def limits(request: Request) -> LimitsAnswer:
        credential = await own.credential(request, route=LIMITS)
        caller = credential.caller
        account = await admission.state(caller.account_id)
        return _answer(OwnStanding(account, caller, caller.project_id), sees_balance=may_read_balance(caller))

    return router


def _answer(standing: OwnStanding, *, sees_balance: bool) -> LimitsAnswer:
    account = standing.account
    terms = account.terms
    budgets = account.budgets if sees_balance else [one for one in standing.budgets if one.scope != "account"]
    most_nano = terms.limits.max_price_nano
    return LimitsAnswer(
        account=account.account,
        plan=terms.plan_id,
        plan_version=terms.plan_version,
        admission=terms.admission,
        limits=list(_limits(standing)),
        ceilings=CallCeilings(
            max_tokens=terms.limits.max_tokens,
            max_price_credits=None if most_nano is None else credits_text(most_nano),
        ),
        budgets=[_budget(one) for one in budgets],
        amounts=[_amount(standing, unit) for unit in account.units] if sees_balance else None,
        used_percent=_used_percent(standing) if sees_balance else None,
        renews_at=account.renews_at,
        near_limit=standing.is_near,
        open_calls=account.open_calls if sees_balance else None,
        as_of=account.at,
    )


def _limits(standing: OwnStanding) -> Iterator[LimitStanding]:
    account = standing.account
    rates: dict[str, Rate | None] = {
        "requests_per_minute": account.requests,
        "tokens_per_minute": account.tokens,
        "concurrency": standing.concurrency,
        "member_concurrency": standing.member_concurrency,
    }
    for name, rate in rates.items():
        if rate is not None:
            yield LimitStanding(name=name, limit=rate.limit, remaining=rate.remaining, resets_at=rate.reset_at)


def _budget(budget: BudgetInUse) -> BudgetStanding:
    left_nano = max(0, budget.limit_nano - budget.spent_nano - budget.in_flight_nano)
    return BudgetStanding(
        scope=budget.scope,
        scope_id=budget.scope_id,
        window=budget.window,
        limit_credits=credits_text(budget.limit_nano),
        spent_credits=credits_text(budget.spent_nano),
        in_flight_credits=credits_text(budget.in_flight_nano),
        remaining_credits=credits_text(left_nano),
        resets_at=budget.resets_at,
    )


def _amount(standing: OwnStanding, unit: str) -> AmountStanding:
    amounts = standing.account.units[unit]
    texts = [credits_text(one) if unit in _IN_NANO else str(one) for one in amounts]
    return AmountStanding(unit=unit, available=texts[0], held=texts[1], unconfirmed=texts[2])


def _used_percent(standing: OwnStanding) -> float | None:
    account = standing.account
    if not account.granted or account.granted_unit is None:
        return None
    left = account.units[account.granted_unit].available
    return round(100 * min(1.0, max(0.0, 1 - left / account.granted)), 1)
