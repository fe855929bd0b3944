"""Second factors, and proving oneself for a step up."""

from typing import Literal

from auth.schemas.common import Code
from kit.http import RequestModel, ResponseModel


class ConfirmTotpRequest(RequestModel):
    code: Code


class TotpAnswer(ResponseModel):
    """Shown once; nothing is asked for before a first code has been confirmed."""

    secret: str
    uri: str


class RecoveryCodesAnswer(ResponseModel):
    """Shown once; each replaces the second factor one time."""

    recovery_codes: list[str]


class StepUpAnswer(ResponseModel):
    """An access token for what needs a fresh proof; the refresh token stays."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme
    expires_in: int
