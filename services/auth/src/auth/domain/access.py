"""What a token says, and the records behind it: sessions, API keys, signing keys."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from auth.domain.clients import token_scopes
from contracts.auth import Role
from contracts.terms import Budget
from kit.tokens import STEPPED_UP

ACCESS_S: Final = 600
SERVICE_TOKEN_S: Final = 300
SESSION_DAYS: Final = 30
GRACE_S: Final = 10.0
PUBLISH_AHEAD_S: Final = 600.0
"""A new signing key is published this long before it signs: the JWKS answer may be cached for 5 minutes, and a
verifier may keep what it got from that cache for 5 more."""
RETIRE_AFTER_S: Final = ACCESS_S + 120.0
"""How long the key before stays published once the new one signs: the longest token, and clocks that differ."""
TOKEN_PROJECTS: Final = 40
"""A token names at most so many projects, or it would outgrow what verifiers accept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who a token speaks for and what it may do."""

    user_id: UUID
    account_id: UUID
    role: Role
    operator: bool
    plan: str | None
    projects: tuple[UUID, ...]
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    project_id: UUID | None = None
    scopes: tuple[str, ...] = ()
    stepped_up_at: datetime | None = None
    actor_id: UUID | None = None
    client_id: str | None = None

    def of_session(self, session: "Session") -> "Access":
        """What a token of this session says; a program's never has an operator's rights."""
        mine = replace(self, session_id=session.id)
        if session.client_id is None:
            return mine
        return replace(mine, client_id=session.client_id, scopes=token_scopes(session.scope), operator=False)

    def claims(self) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "sub": str(self.user_id),
            "account": str(self.account_id),
            "role": self.role,
            "operator": self.operator,
            "plan": self.plan,
            "projects": [str(project) for project in self.projects[:TOKEN_PROJECTS]],
        }
        if self.session_id is not None:
            claims["sid"] = str(self.session_id)
        if self.client_id is not None:
            claims["client_id"] = self.client_id
        if self.scopes:
            claims["scope"] = " ".join(self.scopes)
        if self.stepped_up_at is not None:
            claims |= {"acr": STEPPED_UP, "auth_time": int(self.stepped_up_at.timestamp())}
        if self.actor_id is not None:
            claims["act"] = {"sub": str(self.actor_id)}
        if self.project_id is not None:
            claims["project"] = str(self.project_id)
        if self.api_key_id is not None:
            claims["api_key"] = str(self.api_key_id)
            claims.setdefault("scope", "")
        return claims


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in and the family of refresh tokens that came of it.

    With `operator_id` it is an operator's look through the user's eyes, for a `reason` and without refresh tokens.
    """

    id: UUID
    user_id: UUID
    account_id: UUID
    device: str
    network: str
    created_at: datetime
    last_seen_at: datetime
    access_until: datetime
    expires_at: datetime
    revoked_at: datetime | None
    operator_id: UUID | None = None
    reason: str | None = None
    client_id: str | None = None
    scope: str = ""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One link in a session's chain; only its hash is kept."""

    token_hash: bytes
    session_id: UUID
    used_at: datetime | None

    def in_grace(self, now: datetime) -> bool:
        """A client whose answer was lost, or whose second tab was as quick, gets the same successor again."""
        return self.used_at is not None and now - self.used_at <= timedelta(seconds=GRACE_S)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key; the key itself is shown once and kept as a hash."""

    id: UUID
    account_id: UUID
    project_id: UUID | None
    user_id: UUID
    name: str
    mode: Literal["live", "test"]
    key_sha256: str
    prefix: str
    last4: str
    scopes: tuple[str, ...]
    state: Literal["active", "revoked"]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    version: int
    created_at: datetime
    budgets: tuple[Budget, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    rotated_at: datetime | None = None
    share_id: UUID | None = None
    for_account_id: UUID | None = None
    for_project_id: UUID | None = None
    """With a share: the account that pays for its calls and the project that they belong to."""

    def usable(self, now: datetime) -> bool:
        return self.state == "active" and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key; the private half is sealed with the key encryption key."""

    id: str
    public_key: bytes
    private_sealed: bytes
    signs_from: datetime
    retires_at: datetime | None
    created_at: datetime

    def stage(self, now: datetime) -> Literal["waiting", "signing", "retiring", "retired"]:
        if self.retires_at is not None and self.retires_at <= now:
            return "retired"
        if self.signs_from > now:
            return "waiting"
        return "signing" if self.retires_at is None else "retiring"


def signing_key(keys: tuple[SigningKey, ...], *, now: datetime) -> SigningKey | None:
    """The newest key whose time to sign has come."""
    ready = [key for key in keys if key.stage(now) in ("signing", "retiring") and key.signs_from <= now]
    return max(ready, key=lambda key: key.signs_from, default=None)
