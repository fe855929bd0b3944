"""How a program comes by its first tokens: codes for an authorization, and codes for a device."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

CODE_S: Final = 120.0
DEVICE_S: Final = 600.0
INTERVAL_S: Final = 5
SLOWER_S: Final = 5
"""By how much a device that asks too often has to wait longer (RFC 8628, 3.5)."""
# No vowels and no digits: nothing to be mistaken, and no words (RFC 8628, 6.1). 20^8 of them, for 10 minutes.
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
_HALF: Final = 4
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """A user's consent on its way to the program; `session_id` is the family that came of it."""

    code_hash: bytes
    client_id: str
    user_id: UUID
    account_id: UUID
    scope: str
    redirect_uri: str
    code_challenge: str
    expires_at: datetime
    used_at: datetime | None
    session_id: UUID | None


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A program that waits for its user to say yes somewhere else; `asked_from` is its network, for the user to see."""

    code_hash: bytes
    user_code: str
    client_id: str
    scope: str
    asked_from: str
    state: Literal["waiting", "allowed", "denied", "used"]
    user_id: UUID | None
    account_id: UUID | None
    interval_s: int
    polled_at: datetime | None
    expires_at: datetime
    session_id: UUID | None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a user allowed a program, until they take it back."""

    user_id: UUID
    client_id: str
    client_name: str
    scope: str
    granted_at: datetime


def new_secret(prefix: str) -> str:
    """256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def hash_of(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def new_user_code() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(2 * _HALF))


def plain_user_code(text: str) -> str:
    """As it is kept, whatever a person typed between the letters."""
    return "".join(char for char in text.upper() if char in _LETTERS)[: 2 * _HALF + 1]


def shown_user_code(code: str) -> str:
    return f"{code[:_HALF]}-{code[_HALF:]}"


def is_challenge(text: str) -> bool:
    """Whether this has the form of a challenge of the method S256."""
    return _CHALLENGE.fullmatch(text) is not None


def fits(verifier: str, challenge: str) -> bool:
    """Whether the verifier is what the challenge was made of (RFC 7636, 4.6)."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return hmac.compare_digest(made, challenge)
