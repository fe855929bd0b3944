"""What a verification of the books finds."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

SHOWN = 1000
"""How many findings of one check are named; more are counted only."""


class Finding(NamedTuple):
    """A row that does not agree with the others, and how."""

    check: str
    account_id: UUID | None
    subject: str
    problem: str

    def __str__(self) -> str:
        return f"{self.subject} {self.problem}"


class Span(NamedTuple):
    """Accounts from `first` on, up to but without `end` (None: to the last)."""

    first: UUID
    end: UUID | None

    @classmethod
    def of(cls, account_id: UUID) -> "Span":
        whole = account_id.int + 1
        return cls(account_id, UUID(int=whole) if whole < 1 << 128 else None)


@dataclass(slots=True)
class Report:
    """What was looked at, what every unit sums to over all ledger accounts, and what does not agree."""

    accounts: int = 0
    charges: int = 0
    transfers: int = 0
    sums: dict[str, int] = field(default_factory=lambda: {"credit": 0})
    findings: list[Finding] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)

    @property
    def is_sound(self) -> bool:
        return not self.found and not any(self.sums.values())

    def note(self, findings: list[Finding]) -> None:
        for one in findings:
            self.found[one.check] += 1
            if self.found[one.check] <= SHOWN:
                self.findings.append(one)

    def as_json(self) -> dict[str, Any]:
        return {
            "sound": self.is_sound,
            "accounts": self.accounts,
            "charges": self.charges,
            "transfers": self.transfers,
            "sums": {unit: str(total) for unit, total in self.sums.items()},
            "found": dict(self.found),
            "findings": [
                {**one._asdict(), "account_id": one.account_id and str(one.account_id)} for one in self.findings
            ],
        }
