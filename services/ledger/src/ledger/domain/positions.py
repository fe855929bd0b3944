"""What an account's transfers add up to at an instant (money.md 21)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.money import Unit
from ledger.domain.grants import Grant
from ledger.domain.transfers import TransferKind, debt_account, receivable_account

EXPIRIES = (TransferKind.EXPIRY, TransferKind.EXPIRY_REVERSAL)

Sum = tuple[str, str, str, int]
"""Ledger account, kind, unit, amount that entered less what left."""


@dataclass(frozen=True, slots=True)
class Position:
    """Sums of an account's own ledger accounts, and of what each kind of movement did to its usable balance."""

    accounts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, sums: Iterable[Sum], *, sign: int = 1) -> None:
        for name, kind, unit, amount in sums:
            self.accounts[name] += sign * amount
            if not name.startswith("receivable:"):
                self.kinds[kind, unit] += sign * amount

    def left_of(self, grant_id: UUID) -> int:
        return self.accounts[f"grant:{grant_id}"]

    def debt_nano(self, account_id: UUID) -> int:
        return -self.accounts[debt_account(account_id)]

    def receivable_nano(self, account_id: UUID) -> int:
        return -self.accounts[receivable_account(account_id)]

    def grant_ids(self) -> list[UUID]:
        """Grants with something on them, spent ones left out."""
        return [UUID(name[6:]) for name, amount in self.accounts.items() if amount and name.startswith("grant:")]

    def encoded(self) -> dict[str, Any]:
        """As JSON; what is zero is left out."""
        return {
            "accounts": {name: amount for name, amount in self.accounts.items() if amount},
            "kinds": [[kind, unit, amount] for (kind, unit), amount in self.kinds.items() if amount],
        }

    @classmethod
    def decoded(cls, stored: dict[str, Any]) -> "Position":
        kinds = {(kind, unit): amount for kind, unit, amount in stored["kinds"]}
        return cls(Counter(stored["accounts"]), Counter(kinds))


@dataclass(frozen=True, slots=True)
class Standing:
    """A position with the grants that it names: time decides which of them count, no booking is waited for."""

    account_id: UUID
    at: datetime
    position: Position
    grants: list[Grant]

    def usable(self, unit: Unit) -> int:
        """What may be used of a unit; credits less debt."""
        valid = sum(self._left(grant) for grant in self.grants if grant.unit is unit and grant.valid_at(self.at))
        return valid - (self.position.debt_nano(self.account_id) if unit is Unit.CREDIT else 0)

    def expired(self, unit: Unit) -> int:
        """What stands on expired grants and is not booked as such yet."""
        return sum(self._left(grant) for grant in self.grants if grant.unit is unit and grant.expired_at(self.at))

    def ahead(self, unit: Unit) -> int:
        """What is given for later."""
        return sum(self._left(grant) for grant in self.grants if grant.unit is unit and grant.starts_at > self.at)

    def _left(self, grant: Grant) -> int:
        return self.position.left_of(grant.id)
