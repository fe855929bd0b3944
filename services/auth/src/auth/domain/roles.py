"""One table that says what each role may do in its account."""

from types import MappingProxyType
from typing import Final, Literal

from contracts.auth import Role

Action = Literal[
    "make_key",
    "list_own_keys",
    "list_all_keys",
    "change_own_key",
    "change_any_key",
    "list_members",
    "list_projects",
    "manage_members",
    "manage_projects",
    "manage_service_accounts",
    "change_account",
    "view_audit",
    "manage_owners",
    "close_account",
]

_USER: Final[frozenset[Action]] = frozenset()
_DEVELOPER: Final[frozenset[Action]] = _USER | {
    "make_key",
    "list_own_keys",
    "change_own_key",
    "list_members",
    "list_projects",
}
_ADMIN: Final[frozenset[Action]] = _DEVELOPER | {
    "list_all_keys",
    "change_any_key",
    "manage_members",
    "manage_projects",
    "manage_service_accounts",
    "change_account",
    "view_audit",
}
_OWNER: Final[frozenset[Action]] = _ADMIN | {"manage_owners", "close_account"}

ALLOWED: Final = MappingProxyType[Role, frozenset[Action]](
    {"owner": _OWNER, "admin": _ADMIN, "developer": _DEVELOPER, "user": _USER}
)


def allows(role: str, action: Action) -> bool:
    """Whether the role may do this; an unknown role may do nothing."""
    return any(known == role and action in actions for known, actions in ALLOWED.items())
