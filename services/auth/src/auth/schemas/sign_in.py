"""Registering, signing in, refreshing."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from auth.schemas.common import Address, Code, NewPassword, Secret
from kit.http import RequestModel, ResponseModel


class RegisterRequest(RequestModel):
    email: Address
    password: NewPassword


class LoginRequest(RequestModel):
    """`code` is of the authenticator app, or a recovery code; the answer `second_factor_required` asks for it."""

    email: Address
    password: Secret
    code: Code | None = None


class RefreshRequest(RequestModel):
    refresh_token: Secret


class LogoutRequest(RequestModel):
    all: bool = Field(default=False, strict=True, description="end all sessions of the user, not only this one")


class TokensAnswer(ResponseModel):
    """A pair of tokens; each refresh token works once."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme
    expires_in: int
    refresh_token: str
    session_id: UUID
    user_id: UUID
    account_id: UUID
