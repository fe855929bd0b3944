"""One table that says what each role may do in its account."""

from types import MappingProxyType
from typing import Final, Literal

from contracts.auth import Role

Action = Literal["make_key", "list_own_keys", "list_all_keys", "revoke_own_key", "revoke_any_key"]

_OWN_KEYS: Final[frozenset[Action]] = frozenset({"make_key", "list_own_keys", "revoke_own_key"})
_ALL_KEYS: Final[frozenset[Action]] = _OWN_KEYS | {"list_all_keys", "revoke_any_key"}

ALLOWED: Final = MappingProxyType[Role, frozenset[Action]](
    {"owner": _ALL_KEYS, "admin": _ALL_KEYS, "developer": _OWN_KEYS, "user": frozenset()}
)


def allows(role: str, action: Action) -> bool:
    """Whether the role may do this; an unknown role may do nothing."""
    return any(known == role and action in actions for known, actions in ALLOWED.items())
