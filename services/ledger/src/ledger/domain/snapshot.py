"""An account's whole admission state, as gateways need it (money.md 4).

One is made per account and batch, so it is put together as the values that `BalanceChanged` would have, without the
model; a test holds the two against each other. What has the contract's default is left out: for most accounts that is
half of the event, which is written to the outbox, packed, kept by Kafka and read by every gateway.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import orjson

from contracts.billing import PlanPublished
from contracts.event import encode_fields
from contracts.ledger import BalanceChanged
from contracts.money import Unit
from contracts.terms import SoftLimit
from kit.ids import fact_text
from ledger.domain.account import Account
from ledger.domain.budgets import BudgetAccount
from ledger.domain.grants import Grant
from ledger.domain.overage import overage_slice_id
from ledger.domain.periods import boundary
from ledger.domain.plans import PlanRates, interval_of, period_allowances

_NAMES: Final = {unit: unit.value for unit in (Unit.CREDIT, Unit.TOKEN, Unit.REQUEST)}
"""A member's value is asked of Python's own code, which takes as long as all else about a slice."""


class Terms:
    """What an account's calls are subject to: its plan version, and the markup of the price book in force."""

    def __init__(self, plan: PlanPublished | None, *, book_markup_bps: int) -> None:
        own = plan.markup_bps if plan else None
        self.plan = plan
        self.markup_bps = book_markup_bps if own is None else own
        self.rates = PlanRates(plan)

    @cached_property
    def fields(self) -> dict[str, Any]:
        plan = self.plan
        if plan is None:
            return {"markup_bps": self.markup_bps}
        told: dict[str, Any] = {
            "plan_id": plan.plan_id,
            "plan_version": plan.version,
            "admission": plan.admission,
            "limits": plan.limits.model_dump(mode="json", exclude_defaults=True),
            "markup_bps": self.markup_bps,
        }
        return told if plan.models is None else {**told, "models": list(plan.models)}

    @cached_property
    def counting(self) -> dict[str, Any]:
        """How calls of the plan are counted and served."""
        return {} if self.plan is None else self.plan.terms.model_dump(mode="json", exclude_defaults=True)

    @cached_property
    def renewed_units(self) -> frozenset[Unit]:
        """What comes anew with each period."""
        plan = self.plan
        if plan is None:
            return frozenset()
        if plan.renewal == "subscription":
            return frozenset(one.unit for one in plan.allowances if one.valid_days is None)
        return frozenset(one.unit for one in period_allowances(plan))


def snapshot(
    account: Account,
    grants: Iterable[Grant],
    *,
    terms: Terms,
    now: datetime,
    applied: Sequence[UUID] = (),
    budgets: Sequence[BudgetAccount] = (),
) -> dict[str, Any]:
    """The data of `ledger.balance-changed.v1` at `account.version`; `grants` come in burn order.

    What has expired or is used up is left out, what starts later is not.
    """
    slices = [_slice(grant) for grant in grants if grant.remaining > 0 and not grant.expired_at(now)]
    room_nano, fields, counting = 0, terms.fields, terms.counting
    if account.period_end is not None and terms.plan is not None:
        room_nano = terms.rates.overage_room(account)
        slices += _overage(account, terms)
        fields, slices = _softly_limited(account, terms.plan, fields=fields, slices=slices)
    if account.markup_bps is not None:
        # What was agreed with a customer holds for every model.
        fields = {**fields, "markup_bps": account.markup_bps}
        counting = {name: value for name, value in counting.items() if name != "model_markups"}
    told = {
        "account_id": str(account.id),
        "version": account.version,
        "state": account.standing,
        **fields,
        "slices": slices,
        "applied": [str(call_id) for call_id in applied],
        "arming": account.arming,
        "armed": _armed(account, terms),
    }
    if account.debt_nano:
        told["debt_nano"] = str(account.debt_nano)
    if room_nano:
        told["overage_room_nano"] = str(room_nano)
    if counting:
        told["terms"] = counting
    if budgets:
        told["budgets"] = [budget.state(now) for budget in budgets]
    if account.payment_problem is not None:
        told["payment_problem"] = orjson.loads(account.payment_problem)
    return told


def encoded_snapshot(data: dict[str, Any], *, source: str, now: datetime) -> bytes:
    """The snapshot as the event that announces it."""
    account_id = data["account_id"]
    return encode_fields(
        event_id=fact_text("balance", account_id, data["version"]),
        time=now,
        source=source,
        event_type=BalanceChanged.type,
        subject=account_id,
        data=data,
    )


def passed_soft_limits(account: Account, plan: PlanPublished) -> list[SoftLimit]:
    """The plan's soft limits that the running period is past."""
    used = {
        Unit.REQUEST: account.period_calls,
        Unit.TOKEN: account.period_tokens,
        Unit.CREDIT: account.period_value_nano,
    }
    return [limit for limit in plan.soft_limits if used[limit.unit] >= limit.amount]


def _armed(account: Account, terms: Terms) -> list[dict[str, Any]]:
    """What each unit's thresholds are measured against."""
    renewed, ends_at = terms.renewed_units, account.period_end
    return [
        {"unit": _NAMES[unit], "amount": str(base), "renews_at": ends_at if unit in renewed else None}
        for unit, base in account.armed
    ]


def _slice(grant: Grant) -> dict[str, Any]:
    return {
        "slice_id": str(grant.id),
        "unit": _NAMES[grant.unit],
        "amount": str(grant.remaining),
        "starts_at": grant.starts_at,
        "expires_at": grant.expires_at,
        "kind": "grant",
    }


def _overage(account: Account, terms: Terms) -> list[dict[str, Any]]:
    """The room of the running period, and all of the next one's: a new period needs no message."""
    start, end, plan = account.period_start, account.period_end, terms.plan
    ceiling_nano = terms.rates.overage_ceiling(account)
    if ceiling_nano <= 0 or start is None or end is None or plan is None:
        return []
    rooms = (
        (start, end, terms.rates.overage_room(account)),
        (end, boundary(end, 1, interval=interval_of(plan)), ceiling_nano),
    )
    return [
        {
            "slice_id": str(overage_slice_id(account.id, starts_at)),
            "unit": Unit.CREDIT.value,
            "amount": str(room_nano),
            "starts_at": starts_at,
            "expires_at": ends_at,
            "kind": "overage",
        }
        for starts_at, ends_at, room_nano in rooms
        if room_nano > 0
    ]


def _softly_limited(
    account: Account, plan: PlanPublished, *, fields: dict[str, Any], slices: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fair use: past a limit calls are slowed, or nothing may be used before the period is over."""
    for limit in passed_soft_limits(account, plan):
        if limit.then == "throttle" and limit.throttled_requests_per_minute is not None:
            limits = fields["limits"]
            rate = limit.throttled_requests_per_minute
            usual = limits.get("requests_per_minute")
            lowered = rate if usual is None else min(rate, usual)
            fields = {**fields, "limits": {**limits, "requests_per_minute": lowered}}
        elif limit.then == "block":
            slices = _withheld(slices, until=account.period_end)
    return fields, slices


def _withheld(slices: list[dict[str, Any]], *, until: datetime | None) -> list[dict[str, Any]]:
    assert until is not None
    return [
        {**piece, "starts_at": max(piece["starts_at"], until)}
        for piece in slices
        if piece["expires_at"] is None or piece["expires_at"] > until
    ]
