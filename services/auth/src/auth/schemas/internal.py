"""What the other services ask."""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from auth.schemas.common import Secret
from contracts.auth import Role
from kit.http import RequestModel, ResponseModel

RECHECKED_AT_ONCE: Final = 1000


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
    """An access token in place of an API key, or of a session key, which has no id."""

    access_token: str
    expires_in: int
    api_key_id: UUID | None
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
    """What a mail is filled with; `link` is None for kinds that only tell, `details` are words for the template."""

    kind: str
    user_id: UUID | None
    address: str
    link: str | None
    locale: str | None
    details: dict[str, str]
