"""Time-based one-time passwords (RFC 6238) by pyotp: six digits, thirty seconds, one step of tolerance to each side."""

from datetime import datetime
from typing import Final

import pyotp
from pyotp.exceptions import OTPVerificationError

ISSUER: Final = "Faregate"
_TOLERATED_STEPS: Final = 1


def new_secret() -> str:
    """160 random bits in base32, as authenticator apps read them."""
    return pyotp.random_base32()


def enrolment_uri(secret: str, *, address: str) -> str:
    """What an authenticator app takes as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=address, issuer_name=ISSUER)


def matching_step(secret: str, code: str, *, now: datetime, after: int) -> int | None:
    """The step that the code is for, if it is a current one later than `after`."""
    try:
        step = pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=now, valid_window=_TOLERATED_STEPS)
    except OTPVerificationError:
        return None
    return step if step > after else None
