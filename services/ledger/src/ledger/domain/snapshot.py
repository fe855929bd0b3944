"""An account's whole admission state, as gateways need it (money.md 4).

One is made per account and batch, so it is put together as the values that `BalanceChanged` would have, without the
model; a test holds the two against each other.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from contracts.billing import PlanPublished
from contracts.event import encode_fields
from contracts.ledger import BalanceChanged, Limits
from kit.ids import fact_id
from ledger.domain.account import Account
from ledger.domain.grants import Grant

UNLIMITED: Final = Limits()


class Terms:
    """What an account's calls are subject to: its plan version, and the markup of the price book in force."""

    def __init__(self, plan: PlanPublished | None, *, book_markup_bps: int) -> None:
        own = plan.markup_bps if plan else None
        self.plan = plan
        self.markup_bps = book_markup_bps if own is None else own

    @cached_property
    def fields(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "plan_id": plan.plan_id if plan else None,
            "plan_version": plan.version if plan else None,
            "admission": plan.admission if plan else "strict",
            "models": list(plan.models) if plan and plan.models is not None else None,
            "limits": (plan.limits if plan else UNLIMITED).model_dump(mode="json"),
            "markup_bps": self.markup_bps,
        }


def snapshot(
    account: Account, grants: Iterable[Grant], *, terms: Terms, now: datetime, applied: Sequence[UUID] = ()
) -> dict[str, Any]:
    """The data of `ledger.balance-changed.v1` at `account.version`; `grants` come in burn order.

    What has expired or is used up is left out, what starts later is not.
    """
    return {
        "account_id": str(account.id),
        "version": account.version,
        "state": account.state,
        **terms.fields,
        "debt_nano": str(account.debt_nano),
        "overage_room_nano": "0",
        "slices": [_slice(grant) for grant in grants if grant.remaining > 0 and not grant.expired_at(now)],
        "applied": [str(call_id) for call_id in applied],
        "arming": account.arming,
    }


def encoded_snapshot(data: dict[str, Any], *, source: str, now: datetime) -> bytes:
    """The snapshot as the event that announces it."""
    account_id = data["account_id"]
    return encode_fields(
        event_id=str(fact_id("balance", account_id, data["version"])),
        time=now,
        source=source,
        event_type=BalanceChanged.type,
        subject=account_id,
        data=data,
    )


def _slice(grant: Grant) -> dict[str, Any]:
    return {
        "slice_id": str(grant.id),
        "unit": grant.unit.value,
        "amount": str(grant.remaining),
        "starts_at": grant.starts_at,
        "expires_at": grant.expires_at,
    }
