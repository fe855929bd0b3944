"""Who vouches for people from outside: providers to sign in with, and issuers whose tokens are exchanged for ours."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import ConfigDict, Field, SecretStr

from contracts.auth import Role

GOOGLE: Final = "https://accounts.google.com"
GITHUB: Final = "https://github.com"
GITHUB_API: Final = "https://api.github.com"
ISSUERS: Final = MappingProxyType[str, str]({"google": GOOGLE, "github": GITHUB})
SCOPES: Final = MappingProxyType[str, tuple[str, ...]](
    {
        "google": ("openid", "email"),
        "oidc": ("openid", "email"),
        "github": ("read:user", "user:email"),
    }
)
ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
SIGNATURES: Final = frozenset({*ALGORITHMS, "RS384", "RS512", "PS256", "PS384", "PS512", "ES384", "ES512"})
"""What a signature may be made with: public keys only, so that no public key is taken for a shared secret."""
SUBJECT_CHARS: Final = 255
OUTSIDE_ID_CHARS: Final = 255
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_OWN_MACHINE: Final = ("127.0.0.1", "localhost")
_STRICT: Final = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Somebody to sign in with. `github` is OAuth 2 with an API in place of an ID token."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    kind: Literal["google", "github", "oidc"]
    client_id: str
    client_secret: SecretStr
    issuer: str = ""
    scopes: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ALGORITHMS
    api_url: str = GITHUB_API
    create_users: bool = True

    @property
    def title(self) -> str:
        """What the page for signing in calls it."""
        return {"google": "Google", "github": "GitHub"}.get(self.kind, self.name.capitalize())

    def completed(self) -> "Provider":
        """With what its kind says about what was not given; raises `ValueError` for what cannot be trusted."""
        done = replace(self, issuer=self.issuer or ISSUERS.get(self.kind, ""), scopes=self.scopes or SCOPES[self.kind])
        address = urlsplit(done.issuer)
        if not (address.scheme == "https" or (address.scheme == "http" and address.hostname in _OWN_MACHINE)):
            raise ValueError(f"{self.name}: issuer must be an https address")
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name}: a name has small letters, digits, - and _ only")
        if not set(self.algorithms) <= SIGNATURES or not self.algorithms:
            raise ValueError(f"{self.name}: algorithms must be among {', '.join(sorted(SIGNATURES))}")
        return done


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """Which claims of an outside token say what; None says nothing, but that `email_verified` need not be said."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    email: str | None = "email"
    email_verified: str | None = "email_verified"
    account: str | None = None
    account_name: str | None = None
    project: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """Somebody whose tokens are exchanged for ours (RFC 8693)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    issuer: str
    jwks_url: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256",)
    claims: ClaimNames = ClaimNames()
    roles: dict[str, Role] = field(default_factory=dict)
    default_role: Role = "developer"
    create_users: bool = False
    sign_ups_per_hour: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What an outside issuer says of a person; an address counts only where the issuer has verified it."""

    provider: str
    issuer: str
    subject: str
    verified_address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where an outside token wants to work, in the issuer's own names."""

    account: str | None = None
    account_name: str | None = None
    project: str | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as an outside issuer knows them."""

    id: UUID
    user_id: UUID
    provider: str
    issuer: str
    subject: str
    created_at: datetime
    last_used_at: datetime
