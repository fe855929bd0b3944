"""Where a program on a device without a browser begins (RFC 8628)."""

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request

from auth.domain.grants import DEVICE_S, shown_user_code
from auth.entrypoints.oauth.speaking import OAuthRoute, authenticated, form_body, oauth_refusals, read_form
from auth.entrypoints.parts import PartsDep, network_of, refusals
from auth.schemas.oauth import DeviceAnswer
from auth.service.oauth import devices

router = APIRouter(prefix="/auth", tags=["programs"], route_class=OAuthRoute)

PAGE: Final = "/auth/pages/device"
_FORM: Final = form_body(
    ("client_id",),
    client_id="the program",
    client_secret="of a confidential program",  # noqa: S106  # a description
    scope="what it asks for",
)


@router.post(
    "/device",
    summary="Begin to wait for a user who signs in somewhere else",
    responses={**oauth_refusals(400, 401), **refusals(429)},
    openapi_extra=_FORM,
)
async def begin(request: Request, parts: PartsDep) -> DeviceAnswer:
    """Show the user code and the address; then ask `POST /auth/token` every `interval` seconds."""
    form, network = await read_form(request), network_of(request, parts.trusted_proxies)
    async with parts.database.transaction() as session:
        client = await authenticated(request, form, session, parts.programs)
        device, code = await devices.begin(
            session, client, form.get("scope"), network=network, limits=parts.limits, clock=parts.clock
        )
    shown = shown_user_code(device.user_code)
    return DeviceAnswer(
        device_code=code,
        user_code=shown,
        verification_uri=f"{parts.public_url}{PAGE}",
        verification_uri_complete=f"{parts.public_url}{PAGE}?{urlencode({'user_code': shown})}",
        expires_in=int(DEVICE_S),
        interval=device.interval_s,
    )
