"""What auth says: accounts, users, members, projects, keys, sessions. Never an address, a name or a link."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.event import Event
from contracts.money import AccountState
from contracts.terms import Budget

Role = Literal["owner", "admin", "developer", "user"]
SignInWay = Literal["password", "magic-link", "identity", "passkey", "program", "issuer"]


class AccountCreated(Event):
    """A paying party came to be; it may not spend before it is activated."""

    type: ClassVar[str] = "auth.account-created.v1"

    account_id: UUID
    kind: Literal["personal", "team"]
    owner_user_id: UUID


class AccountActivated(Event):
    """The account may get its first grant: at once or after verification, as auth's setting says.

    Without `trial` it gets the default plan only: a team is free to make, and must not be a source of trials.
    """

    type: ClassVar[str] = "auth.account-activated.v1"

    account_id: UUID
    trial: bool = True


class AccountChanged(Event):
    """The account's current row."""

    type: ClassVar[str] = "auth.account-changed.v1"

    account_id: UUID
    version: int
    kind: Literal["personal", "team"]
    state: AccountState
    budgets: tuple[Budget, ...] = ()


class UserChanged(Event):
    """The user's current row; tokens of a user who is not active are refused."""

    type: ClassVar[str] = "auth.user-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("user_id",)

    user_id: UUID
    version: int
    state: Literal["active", "disabled", "deleted"]
    operator: bool


class MemberChanged(Event):
    """A user's current role in an account."""

    type: ClassVar[str] = "auth.member-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("account_id", "user_id")

    account_id: UUID
    user_id: UUID
    version: int
    role: Role
    state: Literal["active", "removed"]
    budgets: tuple[Budget, ...] = ()


class ProjectChanged(Event):
    """A project's current row."""

    type: ClassVar[str] = "auth.project-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("project_id",)

    account_id: UUID
    project_id: UUID
    version: int
    state: Literal["active", "archived"]
    budgets: tuple[Budget, ...] = ()


class ProjectShareChanged(Event):
    """A project that another account's project may see the usage of (`read`), or call at the cost of as well (`use`).

    Keys that were made for a share are announced as keys of the sharing account.
    """

    type: ClassVar[str] = "auth.project-share-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("share_id",)

    share_id: UUID
    account_id: UUID
    project_id: UUID
    with_account_id: UUID
    with_project_id: UUID
    version: int
    access: Literal["read", "use"]
    state: Literal["active", "revoked"]


class ApiKeyChanged(Event):
    """An API key's current row; the key itself never leaves auth, its SHA-256 lets gateways know it.

    A scope is `model:<name or alias>` or `route:<path>`; with one of a kind, nothing else of that kind is allowed.
    """

    type: ClassVar[str] = "auth.api-key-changed.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("api_key_id",)

    account_id: UUID
    api_key_id: UUID
    project_id: UUID | None = None
    user_id: UUID
    version: int
    state: Literal["active", "revoked"]
    key_sha256: str
    scopes: tuple[str, ...] = ()
    expires_at: AwareDatetime | None = None
    budgets: tuple[Budget, ...] = ()
    allowed_networks: tuple[str, ...] = ()


class SessionRevoked(Event):
    """Tokens of this session are refused from now on; after `expires_at` none can be valid anyway."""

    type: ClassVar[str] = "auth.session-revoked.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("session_id",)

    session_id: UUID
    user_id: UUID
    expires_at: AwareDatetime


class MessageRequested(Event):
    """Auth wants a mail sent; the notifier asks auth for address and link when it sends.

    `way` is how somebody signed in, where the mail is about that: `identity` is another provider's account, `program`
    one that the user let in, `issuer` one whose tokens are exchanged for ours.
    """

    type: ClassVar[str] = "auth.message-requested.v1"
    key_fields: ClassVar[tuple[str, ...]] = ("message_id",)

    message_id: UUID
    kind: str
    user_id: UUID | None = None
    way: SignInWay | None = None
