"""Second factors as they stand."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

RECOVERY_CODES: Final = 10


@dataclass(frozen=True, slots=True)
class Totp:
    """A user's secret; without `confirmed_at` it is only being set up."""

    user_id: UUID
    secret_sealed: bytes
    last_step: int
    confirmed_at: datetime | None
    created_at: datetime


def plain_recovery_code(text: str) -> str:
    """How a code is compared: people add blanks, dashes and capitals."""
    return "".join(char for char in text.lower() if char.isalnum())
