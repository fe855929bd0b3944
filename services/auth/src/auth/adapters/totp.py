"""Time-based one-time passwords (RFC 6238): six digits, thirty seconds, one step of tolerance to each side."""

import base64
import hmac
import secrets
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

STEP_S: Final = 30
DIGITS: Final = 6
ISSUER: Final = "Faregate"
_SECRET_BYTES: Final = 20


def new_secret() -> str:
    """160 random bits in base32, as authenticator apps read them."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def enrolment_uri(secret: str, *, address: str) -> str:
    """What an authenticator app takes as a QR code."""
    label = f"{ISSUER}:{quote(address)}"
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': ISSUER})}"


def code_at(secret: str, step: int) -> str:
    """The code of one step (RFC 4226, section 5.3)."""
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def matching_step(secret: str, code: str, *, now: datetime, after: int) -> int | None:
    """The step that the code is for, if it is a current one later than `after`; each is compared, in equal time."""
    current, found = int(now.timestamp()) // STEP_S, None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > after:
            found = step
    return found
