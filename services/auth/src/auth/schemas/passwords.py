"""Passwords, addresses, and leaving."""

from datetime import datetime
from typing import Self

from pydantic import model_validator

from auth.schemas.common import Address, Code, NewPassword, Secret
from auth.schemas.passkeys import CredentialJson
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
    """Who is signed in proves once more that it is them: with the password, and a `code` of the second factor where
    there is one, or with a `passkey` in answer to `POST /auth/passkeys/proof`.
    """

    password: Secret | None = None
    code: Code | None = None
    passkey: CredentialJson | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.password is None) == (self.passkey is None):
            raise ValueError("send either password or passkey")
        return self


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
