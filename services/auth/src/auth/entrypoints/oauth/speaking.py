"""How the authorization server speaks: forms in, the RFCs' own errors out, programs that say who they are."""

import base64
import binascii
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.clients import Client
from auth.errors import OAuthError
from auth.schemas.oauth import RefusalAnswer
from auth.service.oauth.clients import Programs

FORM_MOST_BYTES: Final = 16_384
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_UNCACHED: Final = {"cache-control": "no-store", "pragma": "no-cache"}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OAuthRoute(APIRoute):
    """A route whose refusals have the form of RFC 6749, 5.2."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def speaking(request: Request) -> Response:
            try:
                return await handle(request)
            except OAuthError as error:
                return refusal(error)

        return speaking


def refusal(error: OAuthError) -> JSONResponse:
    headers = {**_UNCACHED, **({"www-authenticate": 'Basic realm="Faregate"'} if error.status == 401 else {})}
    return JSONResponse({"error": error.error, "error_description": error.detail}, error.status, headers)


def oauth_refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declares them for the OpenAPI document."""
    return {status: {"model": RefusalAnswer} for status in statuses}


def form_body(required: tuple[str, ...], **fields: str) -> dict[str, Any]:
    """Declares a form for the OpenAPI document: names of fields and what they are."""
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    schema = {"type": "object", "required": list(required), "properties": properties}
    return {"requestBody": {"required": True, "content": {_FORM_TYPE: {"schema": schema}}}}


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields, each of them once."""

    fields: Mapping[str, str]

    def get(self, name: str) -> str:
        """What is empty was not sent (RFC 6749, 3.2)."""
        return self.fields.get(name, "")

    def need(self, name: str) -> str:
        value = self.get(name)
        if not value:
            raise OAuthError("invalid_request", f"The form has no `{name}`.")
        return value


async def read_form(request: Request) -> Form:
    """Raises `OAuthError` for what is no form, too long, or says something twice (RFC 6749, 3.2)."""
    body = await request.body()
    if len(body) > FORM_MOST_BYTES:
        raise OAuthError("invalid_request", f"The form has more than {FORM_MOST_BYTES} bytes.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise OAuthError("invalid_request", "The body is no form.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise OAuthError("invalid_request", "The form says something twice.")
    if any("\x00" in value for value in fields.values()):
        raise OAuthError("invalid_request", "The form holds a NUL character.")
    return Form(fields)


async def authenticated(request: Request, form: Form, session: AsyncSession, known: Programs) -> Client:
    """The program that asks, by Basic or by the form; raises `OAuthError` with `invalid_client`."""
    client_id, secret = _basic(request) or (form.get("client_id"), form.get("client_secret") or None)
    if form.get("client_id") not in ("", client_id):
        raise OAuthError("invalid_request", "The form names another program than the header.")
    if not client_id:
        raise OAuthError("invalid_request", "The form has no `client_id`.")
    client = await known.authenticate(session, client_id, secret)
    if client is None:
        raise OAuthError("invalid_client", "There is no such program, or its secret is another one.", status=401)
    return client


def _basic(request: Request) -> tuple[str, str] | None:
    """Name and secret of the header, if there is one of this scheme; both are form-encoded (RFC 6749, 2.3.1)."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise OAuthError("invalid_client", "The header cannot be read.", status=401) from None
    if not colon or "\x00" in name + secret:
        raise OAuthError("invalid_client", "The header has no secret.", status=401)
    return unquote_plus(name), unquote_plus(secret)
