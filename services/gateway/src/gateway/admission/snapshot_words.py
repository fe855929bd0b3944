"""A snapshot as the scripts take it."""

from typing import Final

from contracts.ledger import Armed, BalanceChanged, Slice
from contracts.money import MAX_AMOUNT, Unit
from contracts.terms import BudgetState
from gateway.admission import terms
from gateway.admission.hold import milliseconds_of

_LETTERS: Final = {Unit.CREDIT: "c", Unit.TOKEN: "t", Unit.REQUEST: "r"}


class SnapshotRefusedError(ValueError):
    """A snapshot that scripts could not count with."""


def snapshot_words(event: BalanceChanged) -> list[str | int]:
    """The words of `apply.lua` from the version on; raises `SnapshotRefusedError`."""
    words = [word for pair in _state(event).items() for word in pair]
    slices = [_slice(one) for one in event.slices]
    budgets = _budgets(event)
    counts = (len(words), len(slices), len(budgets))
    return [event.version, *counts, *words, *slices, *budgets, *(call.hex for call in event.applied)]


def _state(event: BalanceChanged) -> dict[str, str | int]:
    """The fields of the account's state; an empty one is removed."""
    encoded, limits = terms.encode(event), event.limits
    return {
        "state": event.state,
        "plan_id": terms.quoted_plan(event.plan_id),
        "plan_version": _optional(event.plan_version),
        "debt": _amount(event.debt_nano),
        "arming": event.arming,
        "models": "" if event.models is None else "\n" + "".join(f"{model}\n" for model in event.models),
        "digest": terms.digest_of(encoded),
        "terms": encoded.decode(),
        "rpm": _optional(limits.requests_per_minute),
        "tpm": _optional(limits.tokens_per_minute),
        "open": _optional(limits.concurrency),
        "open_member": _optional(limits.member_concurrency),
        "most_tokens": _optional(limits.max_tokens),
        "most_price": _optional(limits.max_price_nano),
        "most_request": _optional(event.terms.request_max_price_nano),
        "policy": event.terms.overage.policy,
        **_allowance(event),
    }


def _allowance(event: BalanceChanged) -> dict[str, str | int]:
    """What is left is measured against what was last granted in the plan's own unit, else in credits."""
    by_unit = {armed.unit: armed for armed in event.armed}
    armed: Armed | None = by_unit.get(event.terms.unit) or by_unit.get(Unit.CREDIT)
    if armed is None:
        return dict.fromkeys(("base_unit", "base", "renews", "near_unit", "near_at"), "")
    near, unit, base = event.terms.near_limit, _LETTERS[armed.unit], _amount(armed.amount)
    return {
        "base_unit": unit,
        "base": base,
        "renews": "" if armed.renews_at is None else milliseconds_of(armed.renews_at),
        "near_unit": "" if near is None else unit,
        "near_at": "" if near is None else base * near.percent_left // 100,
    }


def _budgets(event: BalanceChanged) -> list[str]:
    """`scope, window|limit|spent|resets;…` for each scope, as scripts name it."""
    windows: dict[str, list[str]] = {}
    for budget in event.budgets:
        resets = "" if budget.resets_at is None else milliseconds_of(budget.resets_at)
        packed = f"{budget.window}|{_amount(budget.limit_nano)}|{_amount(budget.spent_nano)}|{resets}"
        windows.setdefault(_scope(budget), []).append(packed)
    return [word for scope, found in windows.items() for word in (scope, ";".join(found))]


def _scope(budget: BudgetState) -> str:
    return "account" if budget.scope == "account" else f"{budget.scope}:{budget.scope_id.hex}"


def _slice(one: Slice) -> str:
    letter = "o" if one.kind == "overage" else _LETTERS[one.unit]
    until = "" if one.expires_at is None else milliseconds_of(one.expires_at)
    return f"{one.slice_id}:{letter}|{milliseconds_of(one.starts_at)}|{until}|{_amount(one.amount)}"


def _optional(limit: int | None) -> str | int:
    return "" if limit is None else _amount(limit)


def _amount(amount: int) -> int:
    if not 0 <= amount <= MAX_AMOUNT:
        raise SnapshotRefusedError("an amount is negative or above the highest that scripts count exactly")
    return amount
