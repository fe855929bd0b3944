"""A token of a trusted outside issuer for one of ours (RFC 8693): the user, and where the token lets them work."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth import metrics
from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S, Access
from auth.domain.audit import Actor
from auth.domain.outside import OUTSIDE_ID_CHARS, SUBJECT_CHARS, Placed, TrustedIssuer, Vouched
from auth.domain.people import Member, Project
from auth.errors import ExchangeRefusedError, OutsideTokenError
from auth.repository import accounts, identities, members, projects, second_factors, sessions, users
from auth.service import audit, facts
from auth.service.projects import PROJECTS_MOST
from auth.service.recognizing import FirstSight, recognize
from auth.service.sessions import open_session
from auth.service.teams import insert_team
from kit import outbox
from kit.clock import Clock
from kit.ids import uuid7

NAME_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The access token that was given, and the session that it belongs to."""

    issued: Issued
    session_id: UUID


def read_claims(issuer: TrustedIssuer, claims: Mapping[str, Any]) -> tuple[Vouched, Placed]:
    """What the issuer's claims say in our terms; raises `OutsideTokenError` for a claim that cannot be meant so."""
    names, subject = issuer.claims, str(claims["sub"])
    if len(subject) > SUBJECT_CHARS or "\x00" in subject:
        raise OutsideTokenError("The token's subject is too long.")
    verified = names.email_verified is None or claims.get(names.email_verified) is True
    vouched = Vouched(
        provider=issuer.name,
        issuer=issuer.issuer,
        subject=subject,
        verified_address=_text(claims, names.email) if verified else None,
    )
    role = _text(claims, names.role)
    if role is not None and role not in issuer.roles:
        raise OutsideTokenError("The token names a role that no role here stands for.")
    return vouched, Placed(
        account=_text(claims, names.account),
        account_name=_text(claims, names.account_name),
        project=_text(claims, names.project),
        role=None if role is None else issuer.roles[role],
    )


def _text(claims: Mapping[str, Any], name: str | None) -> str | None:
    found = None if name is None else claims.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= OUTSIDE_ID_CHARS or not found.isprintable():
        raise OutsideTokenError(f"The token's claim {name} is no text of 1 to {OUTSIDE_ID_CHARS} characters.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One exchange that is under way."""

    issuer: TrustedIssuer
    vouched: Vouched
    placed: Placed
    first: FirstSight
    network: str
    clock: Clock

    async def finish(self, session: AsyncSession, *, signer: TokenSigner) -> Exchanged:
        """An access token of 10 minutes, without a refresh token: the issuer's own next token is what renews it."""
        user_id = await recognize(session, self.vouched, self.first, network=self.network, clock=self.clock)
        await self._check(session, user_id)
        account_id = await self._account(session, user_id)
        project = await self._project(session, account_id, user_id)
        access = await accounts.find_access(session, user_id=user_id, account_id=account_id)
        if access is None:
            raise ExchangeRefusedError("This user cannot work in this account.")
        if project is not None:
            access = replace(access, projects=(project,), project_id=project)
        metrics.SIGN_INS.labels("exchanged").inc()
        return await self._issue(session, access, signer=signer)

    async def _check(self, session: AsyncSession, user_id: UUID) -> None:
        """An outside issuer replaces neither the second factor nor what operators have to prove."""
        user = await users.lock_user(session, user_id)
        totp = await second_factors.find_totp(session, user_id)
        if user.state != "active" or user.operator:
            raise ExchangeRefusedError("This user cannot sign in by an exchange.")
        if totp is not None and totp.confirmed_at is not None:
            raise ExchangeRefusedError("This user has a second factor here and has to sign in with it.")

    async def _account(self, session: AsyncSession, user_id: UUID) -> UUID:
        wanted = self.placed.account
        if wanted is None:
            home = await accounts.find_home(session, user_id)
            if home is None:
                raise ExchangeRefusedError("This user has no account to work in.")
            return home
        own = _uuid(wanted)
        if own is not None and await members.find_member(session, own, user_id) is not None:
            return own
        account_id = await identities.find_account(session, issuer=self.issuer.issuer, outside_id=wanted)
        if account_id is None:
            account_id = await self._make_account(session, user_id, wanted)
        await self._join(session, account_id, user_id)
        return account_id

    async def _make_account(self, session: AsyncSession, user_id: UUID, wanted: str) -> UUID:
        """On first sight; whoever comes first is its owner, for an account is never without one."""
        if not self.issuer.create_users:
            raise ExchangeRefusedError("The token names an account that is not known here.")
        await self.first.limits.take_sign_up(session, network=self.network, now=self.clock.now())
        name = (self.placed.account_name or wanted)[:NAME_CHARS]
        account = await insert_team(session, user_id, name, clock=self.clock)
        new = await identities.insert_account(
            session,
            issuer=self.issuer.issuer,
            outside_id=wanted,
            account_id=account.id,
            now=self.clock.now(),
        )
        if not new:
            raise ExchangeRefusedError("The account is being made at this moment; try again.")
        actor = Actor(kind="user", user_id=user_id, network=self.network)
        await audit.record(
            session,
            "account.created",
            by=actor,
            target=("account", account.id),
            account_id=account.id,
            clock=self.clock,
            change=(None, {"name": name, "issuer": self.issuer.name}),
        )
        return account.id

    async def _join(self, session: AsyncSession, account_id: UUID, user_id: UUID) -> None:
        """The membership as the issuer says it is; the last owner stays one."""
        await members.lock_members(session, account_id)
        member = await members.find_member(session, account_id, user_id)
        role = self.placed.role or (self.issuer.default_role if member is None else member.role)
        if member is not None and (
            member.role == role or (member.role == "owner" and await members.count_owners(session, account_id) == 1)
        ):
            return
        joined = await members.upsert_member(session, account_id, user_id, role=role)
        await outbox.add(session, facts.member_changed(joined, now=self.clock.now()))
        await self._record_member(session, member, joined)

    async def _record_member(self, session: AsyncSession, before: Member | None, after: Member) -> None:
        actor = Actor(kind="user", user_id=after.user_id, network=self.network)
        was = None if before is None else {"role": before.role}
        await audit.record(
            session,
            "member.joined" if before is None else "member.changed",
            by=actor,
            target=("user", after.user_id),
            account_id=after.account_id,
            clock=self.clock,
            change=(was, {"role": after.role, "issuer": self.issuer.name}),
        )

    async def _project(self, session: AsyncSession, account_id: UUID, user_id: UUID) -> UUID | None:
        wanted = self.placed.project
        if wanted is None:
            return None
        known = _uuid(wanted) or await identities.find_project(
            session, account_id, issuer=self.issuer.issuer, outside_id=wanted
        )
        if known is not None:
            found = await accounts.find_project(session, account_id, known)
            if found is None:
                raise ExchangeRefusedError("The token names a project that this account does not have.")
            return found.id
        return await self._make_project(session, account_id, user_id, wanted)

    async def _make_project(self, session: AsyncSession, account_id: UUID, user_id: UUID, wanted: str) -> UUID:
        if not self.issuer.create_users:
            raise ExchangeRefusedError("The token names a project that is not known here.")
        await projects.lock_account(session, account_id)
        names = {"issuer": self.issuer.issuer, "outside_id": wanted}
        known = await identities.find_project(session, account_id, **names)
        if known is not None:
            return known
        if await projects.count_active(session, account_id) >= PROJECTS_MOST:
            raise ExchangeRefusedError(f"An account has at most {PROJECTS_MOST} projects.")
        now, made_id, name = self.clock.now(), uuid7(self.clock), wanted[:NAME_CHARS]
        made = Project(made_id, account_id, name, is_default=False, state="active", version=1, created_at=now)
        await projects.insert_project(session, made)
        await identities.insert_project(session, account_id, **names, project_id=made.id, now=now)
        await outbox.add(session, facts.project_changed(made, now=now))
        await audit.record(
            session,
            "project.made",
            by=Actor(kind="user", user_id=user_id, network=self.network),
            target=("project", made.id),
            account_id=account_id,
            clock=self.clock,
            change=(None, {"name": name, "issuer": self.issuer.name}),
        )
        return made.id

    async def _issue(self, session: AsyncSession, access: Access, *, signer: TokenSigner) -> Exchanged:
        """In the session of the last exchange while it lasts: one session for each issuer, not one for each token."""
        now, device = self.clock.now(), f"{self.issuer.name} (token exchange)"
        running = await sessions.find_running(session, access.user_id, device=device, now=now)
        if running is None:
            opened = await open_session(
                session,
                user_id=access.user_id,
                account_id=access.account_id,
                device=device,
                network=self.network,
                way="issuer",
                signer=signer,
                clock=self.clock,
            )
            running = opened.session.id
        issued = signer.access_token(replace(access, session_id=running), now=now, lifetime_s=ACCESS_S)
        await sessions.update_session_account(
            session, running, account_id=access.account_id, now=now, access_until=issued.expires_at
        )
        return Exchanged(issued, running)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
