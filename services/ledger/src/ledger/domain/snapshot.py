"""An account's whole admission state, as gateways need it (money.md 4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.billing import PlanPublished
from contracts.ledger import BalanceChanged, Limits
from kit.ids import fact_id
from ledger.domain.account import Account
from ledger.domain.grants import Grant, burn_order

UNLIMITED: Final = Limits()


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account's calls are subject to: its plan version, and the markup of the price book in force."""

    plan: PlanPublished | None
    book_markup_bps: int

    @property
    def markup_bps(self) -> int:
        if self.plan is not None and self.plan.markup_bps is not None:
            return self.plan.markup_bps
        return self.book_markup_bps


def snapshot(
    account: Account, grants: Iterable[Grant], *, terms: Terms, now: datetime, applied: Sequence[UUID] = ()
) -> BalanceChanged:
    """The state at `account.version`; what has expired or is used up is left out, what starts later is not."""
    plan = terms.plan
    usable = sorted((grant for grant in grants if grant.remaining > 0 and not grant.expired_at(now)), key=burn_order)
    return BalanceChanged.model_validate(
        {
            "id": fact_id("balance", account.id, account.version),
            "time": now,
            "account_id": account.id,
            "version": account.version,
            "state": account.state,
            "plan_id": plan.plan_id if plan else None,
            "plan_version": plan.version if plan else None,
            "admission": plan.admission if plan else "strict",
            "models": plan.models if plan else None,
            "limits": plan.limits if plan else UNLIMITED,
            "markup_bps": terms.markup_bps,
            "debt_nano": account.debt_nano,
            # As plain values, so that the whole event is validated in one pass: one is made per account and batch.
            "slices": [
                {
                    "slice_id": grant.id,
                    "unit": grant.unit,
                    "amount": grant.remaining,
                    "starts_at": grant.starts_at,
                    "expires_at": grant.expires_at,
                }
                for grant in usable
            ],
            "applied": applied,
            "arming": account.arming,
        }
    )
