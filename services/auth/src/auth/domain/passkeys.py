"""Passkeys as they stand, and the challenges that they answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

PASSKEYS_MOST: Final = 20
CHALLENGE_S: Final = 300.0
Purpose = Literal["passkey-register", "passkey-sign-in", "passkey-prove"]


@dataclass(frozen=True, slots=True)
class Passkey:
    """A public key of a user's authenticator; `sign_count` grows with each use where the authenticator counts."""

    id: UUID
    user_id: UUID
    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    name: str
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None
