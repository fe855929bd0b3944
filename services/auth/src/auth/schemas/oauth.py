"""What programs are told, and what operators say about programs."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from auth.domain.clients import Client, Scope, wrong_address
from auth.schemas.common import Label
from auth.schemas.operators import ReasonRequest
from kit.http import RequestModel, ResponseModel


def _address(text: str) -> str:
    reason = wrong_address(text)
    if reason is not None:
        raise ValueError(reason)
    return text


def _once(values: tuple[Scope, ...]) -> tuple[Scope, ...]:
    return tuple(dict.fromkeys(values))


RedirectUri = Annotated[str, StringConstraints(max_length=512), AfterValidator(_address)]
RedirectUris = Annotated[
    tuple[RedirectUri, ...],
    Field(max_length=20, description="where codes may be sent; a loopback address stands for all its ports"),
]
Scopes = Annotated[tuple[Scope, ...], Field(min_length=1, max_length=10), AfterValidator(_once)]


class ConfiguredClient(RequestModel):
    """A program in the configuration. It has no secret: programs with one are registered by operators."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{2,63}$")]
    name: Label
    redirect_uris: RedirectUris = ()
    scopes: Scopes = ("models",)


class RegisterClientRequest(ReasonRequest):
    """`confidential` programs run on a server of their own and get a secret."""

    name: Label
    redirect_uris: RedirectUris = ()
    scopes: Scopes = ("models",)
    confidential: bool = Field(default=False, strict=True)


class ChangeClientRequest(ReasonRequest):
    """What is left out stays as it is."""

    name: Label | None = None
    redirect_uris: RedirectUris | None = None
    scopes: Scopes | None = None
    state: Literal["active", "disabled"] | None = None


class ClientAnswer(ResponseModel):
    """A program; `configured` ones change with the configuration only."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    confidential: bool
    configured: bool
    state: Literal["active", "disabled"]
    created_at: datetime

    @classmethod
    def of(cls, client: Client, *, configured: bool) -> "ClientAnswer":
        return cls(
            client_id=client.id,
            name=client.name,
            redirect_uris=client.redirect_uris,
            scopes=client.scopes,
            confidential=client.secret_hash is not None,
            configured=configured,
            state=client.state,
            created_at=client.created_at,
        )


class RegisteredClientAnswer(ClientAnswer):
    """The only answer that ever holds the secret."""

    client_secret: str | None


class ConsentAnswer(ResponseModel):
    """What the caller allowed a program."""

    client_id: str
    client_name: str
    scope: str
    granted_at: datetime


class ConsentsAnswer(ResponseModel):
    items: list[ConsentAnswer]


class RefusalAnswer(ResponseModel):
    """RFC 6749, 5.2."""

    error: str
    error_description: str


class ProgramTokensAnswer(ResponseModel):
    """RFC 6749, 5.1; each refresh token works once. What a grant adds, such as `issued_token_type`, is its own."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme
    expires_in: int
    refresh_token: str | None = None
    scope: str | None = None
    issued_token_type: str | None = None


class DeviceAnswer(ResponseModel):
    """RFC 8628, 3.2."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class IntrospectionAnswer(ResponseModel):
    """RFC 7662, 2.2; for what is not good now, `active` is all there is."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    token_type: str | None = None
    exp: int | None = None
    sub: UUID | None = None
    aud: str | None = None
    iss: str | None = None
    account: UUID | None = None
    sid: UUID | None = None


class MetadataAnswer(ResponseModel):
    """RFC 8414, 2."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    device_authorization_endpoint: str
    introspection_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    scopes_supported: tuple[str, ...]
    response_types_supported: tuple[str, ...]
    response_modes_supported: tuple[str, ...]
    grant_types_supported: tuple[str, ...]
    token_endpoint_auth_methods_supported: tuple[str, ...]
    introspection_endpoint_auth_methods_supported: tuple[str, ...]
    revocation_endpoint_auth_methods_supported: tuple[str, ...]
    code_challenge_methods_supported: tuple[str, ...]
    authorization_response_iss_parameter_supported: bool
    service_documentation: str
