"""Programs that a user may let in (OAuth clients): what they may ask for, and where they may be answered."""

import re
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

Scope = Literal["models", "account"]

SCOPES: Final = MappingProxyType[str, tuple[str, ...]](
    {
        "models": (
            "Call models, paid from your credits",
            "See your e-mail address, your accounts, what you used and what is left",
        ),
        "account": (
            "Everything that you can do yourself: make API keys, buy, invite and remove members",
            "But for your password, second factor and whatever else asks for your password",
        ),
    }
)
"""What a program can ask for, in the words of the consent page."""
DEFAULT_SCOPE: Final = "models"
_MODEL_ROUTES: Final = (
    "/v1",
    "/api/claude",
    "/api/usage",
    "/api/v1/llm/invoke",
    "/api/v1/llm/test",
    "/api/v1/llm/balance",
    "/api/v1/llm/usage",
    "/api/auth/me",
    "/generate",
    "/me",
    "/auth/me",
    "/ledger/balance",
    "/ledger/usage",
    "/ledger/transactions",
    "/ledger/forecast",
    "/ledger/onboarding",
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
# Editors register these with the system; any other private scheme is a domain name turned round (RFC 8252, 7.1).
_EDITORS: Final = frozenset({"vscode", "vscode-insiders", "vscodium", "cursor", "windsurf"})
_PRIVATE_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_ADDRESS: Final = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True, slots=True)
class Client:
    """A program. With a secret it is confidential: it runs on a server of its own."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    secret_hash: bytes | None
    state: Literal["active", "disabled"]
    created_at: datetime

    def may_be_answered_at(self, address: str) -> bool:
        """Whether a code may be sent there: to the letter, but for the port of a loopback address (RFC 8252, 7.3)."""
        if _ADDRESS.fullmatch(address) is None:
            return False
        return any(address == one or _same_but_port(address, one) for one in self.redirect_uris)

    def granted(self, asked: str) -> str | None:
        """The scope that it gets for what it asked; None when it asks for more than it may."""
        wanted = asked.split() or [DEFAULT_SCOPE]
        if not set(wanted) <= set(self.scopes):
            return None
        return " ".join(one for one in SCOPES if one in wanted)


def token_scopes(scope: str) -> tuple[str, ...]:
    """What a token says of a program's scope: the routes that it may ask, none for all of them."""
    if not scope or "account" in scope.split():
        return ()
    return tuple(f"route:{one}" for one in _MODEL_ROUTES)


def wrong_address(address: str) -> str | None:
    """Why a program may not be answered at this address, or None."""
    if _ADDRESS.fullmatch(address) is None:
        return "has 1 to 512 visible ASCII characters"
    try:
        parts, _ = urlsplit(address), urlsplit(address).port
    except ValueError:
        return "cannot be read as an address"
    if parts.fragment or address.endswith("#") or parts.username is not None:
        return "has neither fragment nor user"
    return _wrong_scheme(parts)


def _wrong_scheme(parts: SplitResult) -> str | None:
    if parts.scheme == "https" and parts.hostname:
        return None
    if parts.scheme == "http":
        return None if parts.hostname in _LOOPBACK else "is http on 127.0.0.1 or [::1] only"
    if parts.scheme in _EDITORS or _PRIVATE_SCHEME.fullmatch(parts.scheme):
        return None
    return "has the scheme https, http on 127.0.0.1, or a private one such as com.example.app"


def is_assured(address: str) -> bool:
    """Whether only the program itself can be answered there: any program can listen on loopback or take a scheme."""
    return address.startswith("https://")


def origin_of(address: str) -> str:
    """What a Content-Security-Policy calls the place where an answer goes."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def _same_but_port(address: str, registered: str) -> bool:
    ours = urlsplit(registered)
    if ours.scheme != "http" or ours.hostname not in _LOOPBACK:
        return False
    try:
        theirs = urlsplit(address)
        netloc = f"[{ours.hostname}]" if ":" in ours.hostname else ours.hostname
        bare = theirs.netloc == (f"{netloc}:{theirs.port}" if theirs.port else netloc)
    except ValueError:
        return False
    return (
        bare
        and (theirs.scheme, theirs.path, theirs.query) == (ours.scheme, ours.path, ours.query)
        and not (theirs.fragment or address.endswith("#"))
    )
