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
    budgets = _budgets(event)
    return [event.version, len(words), len(budgets), *words, *budgets, *(call.hex for call in event.applied)]


def _state(event: BalanceChanged) -> dict[str, str | int]:
    """The fields of the account's state; an empty one is removed."""
    encoded, limits = terms.encode(event), _limits(event)
    return {
        "state": event.state,
        "plan": f"{_optional(event.plan_version)}|{terms.quoted_plan(event.plan_id)}",
        "slices": "".join(map(_slice, event.slices)),
        "debt": _amount(event.debt_nano),
        "arming": event.arming,
        "digest": terms.digest_of(encoded),
        "terms": encoded.decode(),
        "most_request": _optional(event.terms.request_max_price_nano),
        "allowance": _allowance(event),
        "marks": _marks(event, limits),
        **limits,
    }


def _marks(event: BalanceChanged, limits: dict[str, str | int]) -> str:
    """What scripts must look at for this account.

    l(imits), n(umber of open calls), the same of a m(ember), b(udgets), whether it only w(arns) of overage.
    """
    is_limited = any(limit != "" for limit in limits.values())
    warns = event.terms.overage.policy == "warn"
    leases = "n" * (limits["open"] != "") + "m" * (limits["open_member"] != "")
    return "-" + "l" * is_limited + leases + "b" * bool(event.budgets) + "w" * warns


def _limits(event: BalanceChanged) -> dict[str, str | int]:
    """What only accounts with limits have; scripts read it for them alone."""
    limits, near, armed = event.limits, event.terms.near_limit, _armed(event)
    return {
        "models": "" if event.models is None else "\n" + "".join(f"{model}\n" for model in event.models),
        "near_unit": "" if near is None or armed is None else _LETTERS[armed.unit],
        "near_at": "" if near is None or armed is None else armed.amount * near.percent_left // 100,
        "rpm": _optional(limits.requests_per_minute),
        "tpm": _optional(limits.tokens_per_minute),
        "open": _optional(limits.concurrency),
        "open_member": _optional(limits.member_concurrency),
        "most_tokens": _optional(limits.max_tokens),
        "most_price": _optional(limits.max_price_nano),
    }


def _armed(event: BalanceChanged) -> Armed | None:
    """What is left is measured against what was last granted in the plan's own unit, else in credits."""
    by_unit = {armed.unit: armed for armed in event.armed}
    return by_unit.get(event.terms.unit) or by_unit.get(Unit.CREDIT)


def _allowance(event: BalanceChanged) -> str:
    """`unit|amount|renews`, as gateways read it in an answer."""
    armed = _armed(event)
    if armed is None:
        return "||"
    renews = "" if armed.renews_at is None else milliseconds_of(armed.renews_at)
    return f"{_LETTERS[armed.unit]}|{_amount(armed.amount)}|{renews}"


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
    return f"{one.slice_id}:{letter}|{milliseconds_of(one.starts_at)}|{until}|{_amount(one.amount)},"


def _optional(limit: int | None) -> str | int:
    return "" if limit is None else _amount(limit)


def _amount(amount: int) -> int:
    if not 0 <= amount <= MAX_AMOUNT:
        raise SnapshotRefusedError("an amount is negative or above the highest that scripts count exactly")
    return amount
