"""What the admit script answers, as the gateway's own words."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from gateway.admission.hold import allocation_of, instant_of, plan_of
from gateway.admission.terms import AccountTerms
from gateway.admission.types import AdmissionRequest, Admitted, Amounts, Left, LimitState, Rate, RefusalReason, Refused

PER_UNIT: Final = 60_000
CONCURRENCY_RETRY_S: Final = 1.0
_OK_FIELDS: Final = 3
_AGAIN_FIELDS: Final = 11
_REFUSED_FIELDS: Final = 7
# What a named tuple's own constructor calls; that one is written in Python.
_new: Final = tuple.__new__
_UNIT_PLACES: Final = {"c": 2, "t": 3, "r": 4}


def admitted(request: AdmissionRequest, fields: list[str]) -> Admitted:
    """`ok|admitted_ms|split|` and the standing: terms and amounts are the request's, which the script agreed to."""
    terms, split, standing = request.terms, fields[2], fields[_OK_FIELDS:]
    return Admitted(  # by place, because names cost time here
        request.call_id,
        request.account_id,
        datetime.fromtimestamp(int(fields[1]) / 1000, tz=UTC),
        request.amounts,
        allocation_of(split),
        terms.plan_id,
        terms.plan_version,
        terms.markups.get(request.model, terms.markup_bps),
        standing[1] == "1",
        _left(standing),
        limits_of(terms, standing, request.user_id),
    )


def admitted_again(request: AdmissionRequest, parts: list[str]) -> Admitted:
    """`again|…`: the hold as it was made, whatever has changed since."""
    _, at, markup, version, plan, split, price, tokens, overage, requests, rate = parts[:_AGAIN_FIELDS]
    standing, cost_nano = parts[_AGAIN_FIELDS:], request.amounts.cost_nano
    return Admitted(
        call_id=request.call_id,
        account_id=request.account_id,
        admitted_at=instant_of(int(at)),
        amounts=Amounts(int(price), int(tokens), int(requests), int(overage), int(rate), cost_nano),
        allocation=allocation_of(split),
        plan_id=plan_of(plan),
        plan_version=int(version) if version else None,
        markup_bps=int(markup),
        near=standing[1] == "1",
        left=_left(standing),
        limits=limits_of(request.terms, standing, request.user_id),
    )


def refused(request: AdmissionRequest, parts: list[str]) -> Refused:
    """`refused|reason|limit|retry_ms|resets_ms|arming|first|` and the standing."""
    _, reason, limit, retry, resets, arming, first = parts[:_REFUSED_FIELDS]
    standing = parts[_REFUSED_FIELDS:]
    answer = Refused(
        reason=_reason(reason),
        required=request.amounts,
        left=_left(standing),
        limits=limits_of(request.terms, standing, request.user_id),
        limit=limit or None,
        retry_after_s=int(retry) / 1000 if retry else None,
        arming=int(arming),
        first_of_arming=first == "1",
    )
    if reason == "budget":
        now = instant_of(int(standing[0]))
        answer.resets_at = budget_reset(limit, resets, now)
        if answer.resets_at is not None:
            answer.retry_after_s = (answer.resets_at - now).total_seconds()
    elif reason in {"concurrency", "member_concurrency"}:
        answer.retry_after_s = CONCURRENCY_RETRY_S
    elif reason == "credit":
        answer.resets_at = answer.limits.renews_at
    return answer


def limits_of(terms: AccountTerms, standing: list[str], user_id: UUID | None) -> LimitState:
    """`now|near|credit|tokens|requests|overage|rpm|tpm|open|member's open|unit|base|renews` against the plan."""
    state = LimitState()
    if terms.is_limited:
        limits = terms.limits
        most = limits.requests_per_minute
        if most is not None:
            state.requests = rate_of(most, holds=int(standing[6]), now_ms=int(standing[0]))
        most = limits.tokens_per_minute
        if most is not None:
            state.tokens = rate_of(most, holds=int(standing[7]), now_ms=int(standing[0]))
        most = limits.concurrency
        if most is not None:
            state.concurrency = Rate(most, max(0, most - int(standing[8])))
        most = limits.member_concurrency
        if most is not None and user_id is not None:
            state.member_concurrency = Rate(most, max(0, most - int(standing[9])))
    unit, base, renews = standing[10:13]
    if base:
        granted, left = int(base), int(standing[_UNIT_PLACES[unit]])
        state.utilisation = 1.0 if left <= 0 or not granted else max(0.0, 1 - left / granted)
    if renews:
        state.renews_at = _renewal(renews)
    return state


@lru_cache(maxsize=4096)
def _renewal(at_ms: str) -> datetime:
    """The same for all calls of a period."""
    return instant_of(int(at_ms))


def rate_of(limit: int, *, holds: int, now_ms: int) -> Rate:
    """A bucket's state; `holds` counts 60,000ths, of which `limit` drain per millisecond."""
    if limit == 0:
        return Rate(0, 0)
    remaining = limit + -holds // PER_UNIT
    return _new(Rate, (limit, max(0, remaining), now_ms + -(-holds // limit)))


def budget_reset(limit: str, resets: str, now: datetime) -> datetime | None:
    """When the budget that refused comes anew; one whose reset has passed already has the next one."""
    if resets and (at := instant_of(int(resets))) > now:
        return at
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    window = limit.rpartition(":")[2]
    if window == "day":
        return midnight + timedelta(days=1)
    if window == "month":
        return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return None


def _left(standing: list[str]) -> Left:
    return _new(Left, (int(standing[2]), int(standing[3]), int(standing[4]), int(standing[5])))


def _reason(word: str) -> RefusalReason:
    return word  # type: ignore[return-value]  # the script says no other
