"""What somebody may spend in a window, and what the books count against it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.terms import BudgetScope, BudgetWindow

_FIELD: dict[str, str] = {"member": "user_id", "project": "project_id", "api_key": "api_key_id"}


@dataclass(slots=True)
class BudgetAccount:
    """One budget under its account's lock; `window_start` is that of the window which `spent_nano` counts."""

    account_id: UUID
    scope: BudgetScope
    scope_id: UUID
    window: BudgetWindow
    limit_nano: int
    spent_nano: int
    window_start: datetime | None
    is_moved: bool = field(default=False, compare=False)

    def covers(self, event: Any) -> bool:
        name = _FIELD.get(self.scope)
        return name is None or getattr(event, name) == self.scope_id

    def spend(self, amount_nano: int, *, admitted_at: datetime) -> None:
        """Count a price in the window of its admission; a window that is over counts no more."""
        start = window_start(self.window, admitted_at)
        if self.window_start is not None and start is not None and start != self.window_start:
            if start < self.window_start:
                return
            self.window_start, self.spent_nano = start, 0
        self.spent_nano += amount_nano
        self.is_moved = True

    def state(self, now: datetime) -> dict[str, Any]:
        """As a snapshot says it."""
        resets_at = window_end(self.window, self.window_start)
        start = window_start(self.window, now)
        is_over = start is not None and self.window_start is not None and start > self.window_start
        return {
            "scope": self.scope,
            "scope_id": str(self.scope_id),
            "window": self.window,
            "limit_nano": str(self.limit_nano),
            "spent_nano": "0" if is_over else str(self.spent_nano),
            "resets_at": window_end(self.window, start) if is_over else resets_at,
        }


def window_start(window: BudgetWindow, instant: datetime) -> datetime | None:
    """The start of the UTC day or month that holds an instant; a total has none."""
    if window == "total":
        return None
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if window == "day" else midnight.replace(day=1)


def window_end(window: BudgetWindow, start: datetime | None) -> datetime | None:
    if start is None:
        return None
    if window == "day":
        return start + timedelta(days=1)
    return (start + timedelta(days=32)).replace(day=1)
