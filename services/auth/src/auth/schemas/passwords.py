"""Passwords, addresses, and leaving."""

from datetime import datetime

from auth.schemas.common import Address, Code, NewPassword, Secret
from kit.http import RequestModel, ResponseModel


class ForgotRequest(RequestModel):
    email: Address


class TokenRequest(RequestModel):
    """What stands in the link of a mail."""

    token: Secret


class ResetRequest(RequestModel):
    token: Secret
    new_password: NewPassword


class Proof(RequestModel):
    """Who is signed in proves once more that it is them; `code` is for users with a second factor."""

    password: Secret
    code: Code | None = None


class ChangePasswordRequest(Proof):
    new_password: NewPassword


class ChangeEmailRequest(Proof):
    email: Address


class EmailChangeAnswer(ResponseModel):
    """`changed` once both addresses have confirmed; until then the old one stays."""

    changed: bool


class DeletionAnswer(ResponseModel):
    """When everything personal will be erased; cancelling is possible until then."""

    deletion_due_at: datetime
