"""The mails that auth asks for: which have a link, to which page it leads, and how long it works."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal
from uuid import UUID

MessageKind = Literal[
    "verify-email",
    "already-registered",
    "reset-password",
    "password-changed",
    "new-sign-in",
    "token-reused",
    "confirm-email-change",
    "confirm-new-email",
    "deletion-requested",
    "invitation",
    "key-leaked",
    "second-factor-changed",
    "impersonated",
    "magic-link",
    "sign-in-changed",
]

LINK_S: Final = 600.0
INVITATION_S: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Link:
    """Where a mail's link leads."""

    page: str
    lasts_s: float = LINK_S


LINKS: Final = MappingProxyType[str, Link](
    {
        "verify-email": Link("/auth/pages/verify"),
        "reset-password": Link("/auth/pages/reset"),
        "confirm-email-change": Link("/auth/pages/email-change"),
        "confirm-new-email": Link("/auth/pages/email-change"),
        "magic-link": Link("/auth/pages/magic-link"),
        "invitation": Link("/auth/pages/invitation", INVITATION_S),
    }
)


@dataclass(frozen=True, slots=True)
class Message:
    """A mail that was asked for. `subject_id` is what it is about: a session, a change of address, a key."""

    id: UUID
    kind: str
    user_id: UUID | None
    subject_id: UUID | None
