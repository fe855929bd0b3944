"""Everything about an account's admission that its owner may see."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from gateway.admission.decisions import rate_of
from gateway.admission.hold import instant_of
from gateway.admission.terms import AccountTerms
from gateway.admission.types import BudgetInUse, Rate

_UNITS: Final = ("request", "token", "credit", "overage")
_LETTERS: Final = {b"r": "request", b"t": "token", b"c": "credit"}
_MEMBER: Final = "open:"


class UnitStanding(NamedTuple):
    """What may still be held, what open calls hold, and what ended calls cost that the books do not show yet."""

    available: int
    held: int
    unconfirmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account at one moment of Redis's clock. `units` has `request`, `token`, `credit` and `overage`."""

    at: datetime
    account: str
    terms: AccountTerms
    units: dict[str, UnitStanding]
    requests: Rate | None
    tokens: Rate | None
    open_calls: int
    open_by_member: dict[UUID, int]
    budgets: tuple[BudgetInUse, ...]
    granted_unit: str | None
    granted: int | None
    renews_at: datetime | None


def standing_of(terms: AccountTerms, reply: list[Any]) -> Standing:
    """What `standing.lua` answers."""
    _, account, _, now, by_unit, rpm, tpm, budgets, flight, base_unit, base, renews = reply
    now_ms, limits = int(now), terms.limits
    flying = {name.decode(): int(count) for name, count in zip(flight[::2], flight[1::2], strict=True)}
    members = {name.removeprefix(_MEMBER): count for name, count in flying.items() if name.startswith(_MEMBER)}
    amounts = [int(amount) for amount in by_unit]
    return Standing(
        at=instant_of(now_ms),
        account=account.decode(),
        terms=terms,
        units={unit: UnitStanding(*amounts[3 * at : 3 * at + 3]) for at, unit in enumerate(_UNITS)},
        requests=_rate(limits.requests_per_minute, rpm, now_ms),
        tokens=_rate(limits.tokens_per_minute, tpm, now_ms),
        open_calls=flying.get("open", 0),
        open_by_member={UUID(hex=member): count for member, count in members.items()},
        budgets=tuple(
            _budget(scope.decode(), packed, flying, now_ms)
            for scope, windows in zip(budgets[::2], budgets[1::2], strict=True)
            for packed in windows.decode().split(";")
        ),
        granted_unit=_LETTERS.get(base_unit),
        granted=int(base) if base else None,
        renews_at=instant_of(int(renews)) if renews else None,
    )


def _rate(limit: int | None, holds: bytes, now_ms: int) -> Rate | None:
    return None if limit is None else rate_of(limit, holds=int(holds), now_ms=now_ms)


def _budget(scope: str, packed: str, flying: dict[str, int], now_ms: int) -> BudgetInUse:
    name, _, scope_id = scope.partition(":")
    window, limit, spent, resets = packed.split("|")
    is_over = bool(resets) and int(resets) <= now_ms
    return BudgetInUse(
        scope=name,
        scope_id=scope_id,
        window=window,
        limit_nano=int(limit),
        spent_nano=0 if is_over else int(spent),
        in_flight_nano=flying.get(scope, 0),
        resets_at=instant_of(int(resets)) if resets and not is_over else None,
    )
