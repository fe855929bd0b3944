"""Where everything is (RFC 8414)."""

from typing import Final

from fastapi import APIRouter, Response

from auth.domain.clients import SCOPES
from auth.entrypoints.parts import PartsDep
from auth.entrypoints.token import GRANTS
from auth.schemas.oauth import MetadataAnswer

router = APIRouter(tags=["programs"])

_CLIENT_AUTH: Final = ("none", "client_secret_basic", "client_secret_post")
_CACHED: Final = "public, max-age=300"


@router.get("/.well-known/oauth-authorization-server", summary="What this authorization server can do")
async def metadata(parts: PartsDep, response: Response) -> MetadataAnswer:
    response.headers["cache-control"] = _CACHED
    return _metadata(parts.public_url)


@router.get("/.well-known/openid-configuration", summary="The same, where OpenID clients look for it")
async def openid_metadata(parts: PartsDep, response: Response) -> MetadataAnswer:
    """There are no ID tokens here, so what belongs to them is left out; who signed in is told by `/auth/me`."""
    response.headers["cache-control"] = _CACHED
    return _metadata(parts.public_url)


def _metadata(public_url: str) -> MetadataAnswer:
    auth = f"{public_url}/auth"
    return MetadataAnswer(
        issuer=public_url,
        authorization_endpoint=f"{auth}/authorize",
        token_endpoint=f"{auth}/token",
        device_authorization_endpoint=f"{auth}/device",
        introspection_endpoint=f"{auth}/introspect",
        revocation_endpoint=f"{auth}/revoke",
        jwks_uri=f"{auth}/jwks.json",
        scopes_supported=tuple(SCOPES),
        response_types_supported=("code",),
        response_modes_supported=("query",),
        grant_types_supported=tuple(GRANTS),
        token_endpoint_auth_methods_supported=_CLIENT_AUTH,
        introspection_endpoint_auth_methods_supported=_CLIENT_AUTH[1:],
        revocation_endpoint_auth_methods_supported=("none",),
        code_challenge_methods_supported=("S256",),
        authorization_response_iss_parameter_supported=True,
        service_documentation=f"{auth}/docs",
    )
