"""Requests and answers of auth's routes."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from auth.domain.passwords import LONGEST, SHORTEST
from contracts.auth import Role
from kit.http import RequestModel, ResponseModel

RECHECKED_AT_ONCE: Final = 1000

Address = Annotated[str, StringConstraints(min_length=3, max_length=254)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _unicode(value: SecretStr) -> SecretStr:
    try:
        value.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return value


NewPassword = Annotated[SecretStr, AfterValidator(_unicode), Field(min_length=SHORTEST, max_length=LONGEST)]
Secret = Annotated[SecretStr, AfterValidator(_unicode), Field(min_length=1, max_length=512)]


class RegisterRequest(RequestModel):
    email: Address
    password: NewPassword


class StatusAnswer(ResponseModel):
    """The same for known and unknown addresses."""

    status: Literal["ok"] = "ok"


class LoginRequest(RequestModel):
    email: Address
    password: Secret


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


class ProjectAnswer(ResponseModel):
    id: UUID
    name: str
    default: bool


class AccountAnswer(ResponseModel):
    """An account of the user; `plan` is for display only."""

    id: UUID
    kind: Literal["personal", "team"]
    state: str
    activated: bool
    role: Role
    plan: str | None
    projects: list[ProjectAnswer]


class UserAnswer(ResponseModel):
    """`email` is left out for callers with an API key."""

    id: UUID
    email: str | None
    email_verified: bool
    operator: bool
    created_at: datetime


class MeAnswer(ResponseModel):
    """The caller: who it is, and in which account and by which credential this request was made."""

    user: UserAnswer
    accounts: list[AccountAnswer]
    account_id: UUID
    role: str
    session_id: UUID | None
    api_key_id: UUID | None
    project_id: UUID | None


class SessionAnswer(ResponseModel):
    id: UUID
    device: str
    network: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool


class ApiKeyRequest(RequestModel):
    name: Label
    mode: Literal["live", "test"]
    project_id: UUID | None = None
    expires_in_days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = None


class ApiKeyAnswer(ResponseModel):
    id: UUID
    account_id: UUID
    project_id: UUID | None
    user_id: UUID
    name: str
    mode: Literal["live", "test"]
    prefix: str
    last4: str
    scopes: tuple[str, ...]
    state: Literal["active", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class MadeApiKeyAnswer(ApiKeyAnswer):
    """The only answer that ever holds the key itself."""

    key: str


class ServiceTokenRequest(RequestModel):
    service: Annotated[str, StringConstraints(max_length=64)]
    secret: Secret
    audience: Literal["auth", "gateway", "ledger", "billing", "notifier"]


class ServiceTokenAnswer(ResponseModel):
    access_token: str
    expires_in: int


class ResolveRequest(RequestModel):
    key: Secret


class ResolvedAnswer(ResponseModel):
    """An access token in place of an API key."""

    access_token: str
    expires_in: int
    api_key_id: UUID
    account_id: UUID
    project_id: UUID | None
    user_id: UUID
    role: Role
    plan: str | None
    scopes: tuple[str, ...]
    allowed_networks: tuple[str, ...] = ()


class MemberRef(RequestModel):
    account_id: UUID
    user_id: UUID


class RecheckRequest(RequestModel):
    """What credentials in use stand on; at most 1000 of each."""

    api_keys: Annotated[tuple[UUID, ...], Field(max_length=RECHECKED_AT_ONCE)] = ()
    sessions: Annotated[tuple[UUID, ...], Field(max_length=RECHECKED_AT_ONCE)] = ()
    users: Annotated[tuple[UUID, ...], Field(max_length=RECHECKED_AT_ONCE)] = ()
    members: Annotated[tuple[MemberRef, ...], Field(max_length=RECHECKED_AT_ONCE)] = ()


class UserStandingAnswer(ResponseModel):
    user_id: UUID
    version: int
    state: Literal["active", "disabled", "deleted"]
    operator: bool


class MemberStandingAnswer(ResponseModel):
    account_id: UUID
    user_id: UUID
    version: int
    state: Literal["active", "removed"]
    role: Role


class RecheckAnswer(ResponseModel):
    """What is no longer good: keys and sessions that have ended, users and members that changed since they were made.

    A row that is not there any more is answered as ended, with version 0.
    """

    api_keys: list[UUID]
    sessions: list[UUID]
    users: list[UserStandingAnswer]
    members: list[MemberStandingAnswer]


class RecipientAnswer(ResponseModel):
    user_id: UUID
    address: str
    locale: str | None


class RecipientsAnswer(ResponseModel):
    recipients: list[RecipientAnswer]


class MailAnswer(ResponseModel):
    """What a mail is filled with; `link` is None for kinds that only tell."""

    kind: str
    user_id: UUID
    address: str
    link: str | None
    locale: str | None
