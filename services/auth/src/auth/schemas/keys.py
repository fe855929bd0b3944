"""API keys, and reports of leaked ones."""

from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from auth.schemas.budgets import BudgetBodies, BudgetBody
from auth.schemas.common import Label
from kit.http import RequestModel, ResponseModel

SCOPES_MOST_CHARS: Final = 1500
LEAKS_AT_ONCE: Final = 100


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise ValueError("is no address or network, such as 192.0.2.0/24") from None


def _short_together(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """A token carries them, and tokens have a longest length."""
    if sum(len(one) + 1 for one in scopes) > SCOPES_MOST_CHARS:
        raise ValueError(f"has more than {SCOPES_MOST_CHARS} characters together")
    return tuple(dict.fromkeys(scopes))


def _once(networks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(networks))


Scope = Annotated[str, StringConstraints(pattern=r"^(model:[!-~]{1,128}|route:/[!-~]{0,128})$")]
Network = Annotated[str, StringConstraints(min_length=2, max_length=64), AfterValidator(_network)]
ScopeList = Annotated[
    tuple[Scope, ...],
    Field(max_length=50, description="`model:<name or alias>` or `route:<path>`; with one of a kind, only those"),
    AfterValidator(_short_together),
]
NetworkList = Annotated[
    tuple[Network, ...], Field(max_length=20, description="where the key may be used from"), AfterValidator(_once)
]


class ApiKeyRequest(RequestModel):
    name: Label
    mode: Literal["live", "test"]
    project_id: UUID | None = None
    expires_in_days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = None
    scopes: ScopeList = ()
    budgets: BudgetBodies = ()
    allowed_networks: NetworkList = ()
    service_account_id: Annotated[UUID | None, Field(description="whose key it is; the caller's own without")] = None
    share_id: Annotated[
        UUID | None, Field(description="a received share with `use`: calls are the sharing account's, who pays")
    ] = None


class ChangeKeyRequest(RequestModel):
    """What is left out stays as it is; scopes and networks change by rotating to a new key."""

    name: Label | None = None
    budgets: BudgetBodies | None = None


class RotateRequest(RequestModel):
    """For how long the old key works on."""

    overlap_s: Annotated[int, Field(strict=True, ge=0, le=7 * 86_400)] = 86_400


class ApiKeyAnswer(ResponseModel):
    id: UUID
    account_id: UUID
    project_id: UUID | None
    user_id: UUID
    share_id: UUID | None
    name: str
    mode: Literal["live", "test"]
    prefix: str
    last4: str
    scopes: tuple[str, ...]
    budgets: list[BudgetBody]
    allowed_networks: tuple[str, ...]
    state: Literal["active", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    revoked_at: datetime | None


class MadeApiKeyAnswer(ApiKeyAnswer):
    """The only answer that ever holds the key itself."""

    key: str


class LeakReport(BaseModel):
    """A finding as secret-scanning partners report it; what else they send is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    token: Annotated[SecretStr, Field(min_length=1, max_length=512)]


class LeakAnswer(ResponseModel):
    """`token_hash` is the SHA-256 of the reported text in base64, so that no answer repeats a secret."""

    token_hash: str
    token_type: Literal["faregate_api_key"] = "faregate_api_key"  # noqa: S105  # a kind
    label: Literal["true_positive", "false_positive"]
