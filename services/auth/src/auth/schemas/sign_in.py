"""Registering, signing in, refreshing."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from auth.domain.sign_up_proof import ProofKind
from auth.schemas.common import Address, Code, NewPassword, Secret, unicode
from kit.http import RequestModel, ResponseModel

# As long as a captcha's answer may get.
SignUpProof = Annotated[SecretStr, AfterValidator(unicode), Field(min_length=1, max_length=4096)]


class RegisterRequest(RequestModel):
    """`proof` is what `GET /auth/sign-up-proof` asks for: a captcha's answer, or `challenge.solution`."""

    email: Address
    password: NewPassword
    proof: SignUpProof | None = None


class SignUpProofAnswer(ResponseModel):
    """What a registration has to bring; `off` is nothing."""

    kind: ProofKind
    challenge: str | None = None
    algorithm: Literal["sha256"] = "sha256"
    bits: int | None = None
    expires_in: int | None = None


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
