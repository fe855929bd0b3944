"""Auth's events from its rows; an id is made from the row and its version, so that a second emission is the same."""

from datetime import datetime
from uuid import UUID

from auth.domain.access import ApiKey, Session
from auth.domain.people import Account, Member, Project, User
from auth.domain.sharing import ProjectShare
from contracts.auth import (
    AccountActivated,
    AccountChanged,
    AccountCreated,
    ApiKeyChanged,
    MemberChanged,
    MessageRequested,
    ProjectChanged,
    ProjectShareChanged,
    SessionRevoked,
    SignInWay,
    UserChanged,
)
from kit.ids import fact_id


def user_changed(user: User, *, now: datetime) -> UserChanged:
    return UserChanged(
        id=fact_id(UserChanged.type, user.id, user.version),
        time=now,
        user_id=user.id,
        version=user.version,
        state=user.state,
        operator=user.operator,
    )


def account_created(account: Account, *, owner_user_id: UUID, now: datetime) -> AccountCreated:
    return AccountCreated(
        id=fact_id(AccountCreated.type, account.id),
        time=now,
        account_id=account.id,
        kind=account.kind,
        owner_user_id=owner_user_id,
    )


def account_activated(account_id: UUID, *, now: datetime, trial: bool = True) -> AccountActivated:
    return AccountActivated(id=fact_id(AccountActivated.type, account_id), time=now, account_id=account_id, trial=trial)


def account_changed(account: Account, *, now: datetime) -> AccountChanged:
    return AccountChanged(
        id=fact_id(AccountChanged.type, account.id, account.version),
        time=now,
        account_id=account.id,
        version=account.version,
        kind=account.kind,
        state=account.state,
        budgets=account.budgets,
    )


def member_changed(member: Member, *, now: datetime) -> MemberChanged:
    return MemberChanged(
        id=fact_id(MemberChanged.type, member.account_id, member.user_id, member.version),
        time=now,
        account_id=member.account_id,
        user_id=member.user_id,
        version=member.version,
        role=member.role,
        state=member.state,
        budgets=member.budgets,
    )


def project_changed(project: Project, *, now: datetime) -> ProjectChanged:
    return ProjectChanged(
        id=fact_id(ProjectChanged.type, project.id, project.version),
        time=now,
        account_id=project.account_id,
        project_id=project.id,
        version=project.version,
        state=project.state,
        budgets=project.budgets,
    )


def project_share_changed(share: ProjectShare, *, now: datetime) -> ProjectShareChanged:
    return ProjectShareChanged(
        id=fact_id(ProjectShareChanged.type, share.id, share.version),
        time=now,
        share_id=share.id,
        account_id=share.account_id,
        project_id=share.project_id,
        with_account_id=share.with_account_id,
        with_project_id=share.with_project_id,
        version=share.version,
        access=share.access,
        state=share.state,
    )


def api_key_changed(key: ApiKey, *, now: datetime) -> ApiKeyChanged:
    return ApiKeyChanged(
        id=fact_id(ApiKeyChanged.type, key.id, key.version),
        time=now,
        # Who pays for its calls, which is what every listener asks; its holder is auth's own business.
        account_id=key.for_account_id or key.account_id,
        api_key_id=key.id,
        project_id=key.for_project_id or key.project_id,
        user_id=key.user_id,
        version=key.version,
        state=key.state,
        key_sha256=key.key_sha256,
        scopes=key.scopes,
        expires_at=key.expires_at,
        budgets=key.budgets,
        allowed_networks=key.allowed_networks,
    )


def session_revoked(session: Session, *, now: datetime) -> SessionRevoked:
    return SessionRevoked(
        id=fact_id(SessionRevoked.type, session.id),
        time=now,
        session_id=session.id,
        user_id=session.user_id,
        expires_at=session.access_until,
    )


def message_requested(
    message_id: UUID, *, kind: str, user_id: UUID | None, way: SignInWay | None, now: datetime
) -> MessageRequested:
    return MessageRequested(
        id=fact_id(MessageRequested.type, message_id),
        time=now,
        message_id=message_id,
        kind=kind,
        user_id=user_id,
        way=way,
    )
