"""Programs ask for an authorization here, and their users say yes or no (RFC 6749, 4.1; RFC 8252)."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from auth.domain.clients import SCOPES, is_assured, origin_of
from auth.entrypoints.pages.speaking import PageRoute, plain_page
from auth.entrypoints.parts import Parts
from auth.entrypoints.visiting import Visit, VisitDep, id_of
from auth.errors import AuthorizationRefusedError, UnknownClientError
from auth.service import people
from auth.service.oauth import authorizing
from auth.service.oauth.authorizing import PARAMETERS, Asked, answer_address, check_request
from kit.http import PROBLEM_TYPE

authorize_router = APIRouter(prefix="/auth", tags=["programs"], route_class=PageRoute)
router = APIRouter(route_class=PageRoute)

_PARAMETERS: Final = {
    "response_type": "`code`",
    "client_id": "the program",
    "redirect_uri": "one of the program's addresses; on 127.0.0.1 and [::1] with any port",
    "scope": "what it asks for: `models` or `account`",
    "state": "comes back as it is",
    "code_challenge": "RFC 7636",
    "code_challenge_method": "`S256`",
}
_REQUIRED: Final = frozenset(PARAMETERS) - {"scope", "state"}
_DESCRIBED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": name in _REQUIRED,
            "description": text,
            "schema": {"type": "string", "enum": [text.strip("`")]}
            if text in ("`code`", "`S256`")
            else {"type": "string"},
        }
        for name, text in _PARAMETERS.items()
    ],
    "responses": {
        "200": {"description": "The consent page", "content": {"text/html": {"schema": {"type": "string"}}}},
        "303": {"description": "To the sign-in, or to the program with the answer"},
        "400": {
            "description": "Nobody may be answered: the program or its address is not known",
            "content": {
                "text/html": {"schema": {"type": "string"}},
                PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
            },
        },
    },
}


@authorize_router.get(
    "/authorize", summary="A program asks for an authorization", response_class=Response, openapi_extra=_DESCRIBED
)
async def authorize(visit: VisitDep) -> Response:
    """Code with PKCE (S256) only. Refusals go to the program's address, unless that is not one of its own."""
    query = visit.request.query_params
    given = {name: query[name] for name in PARAMETERS if name in query}
    twice = any(len(query.getlist(name)) > 1 for name in PARAMETERS)
    asked = await _checked(visit.parts, {} if twice else given)
    if isinstance(asked, Response):
        return asked
    acting = visit.acting
    async with visit.parts.database.reading() as session:
        before = await authorizing.remembered(session, acting.user_id, asked)
    if before and is_assured(asked.redirect_uri):
        return await _answered(visit, asked, account_id=acting.account_id)
    return await _consent_page(visit, asked, given, before=before)


@router.post("/consent")
async def consent(visit: VisitDep) -> Response:
    visit.check_form()
    given = {name: visit.form[name] for name in PARAMETERS if name in visit.form}
    asked = await _checked(visit.parts, given)
    if isinstance(asked, Response):
        return asked
    if visit.form.get("decision") != "allow":
        return visit.go(asked.answer(visit.parts.public_url, error="access_denied"))
    return await _answered(visit, asked, account_id=id_of(visit.form.get("account_id", "")) or visit.acting.account_id)


async def _checked(parts: Parts, given: Mapping[str, str]) -> Asked | Response:
    """The request, or where its refusal is told."""
    try:
        async with parts.database.reading() as session:
            return await check_request(session, parts.programs, given)
    except UnknownClientError as error:
        return plain_page(parts, "This program cannot be let in", error.detail, status=400, kind="failed")
    except AuthorizationRefusedError as error:
        told = {"error": error.error, "error_description": error.detail}
        address = answer_address(error.redirect_uri, error.state, parts.public_url, told)
        return RedirectResponse(address, 303, {"referrer-policy": "no-referrer"})


async def _answered(visit: Visit, asked: Asked, *, account_id: UUID) -> Response:
    acting = visit.acting
    async with visit.parts.database.transaction() as session:
        code = await authorizing.allow(session, acting, asked, account_id=account_id, clock=visit.parts.clock)
    return visit.go(asked.answer(visit.parts.public_url, code=code))


async def _consent_page(visit: Visit, asked: Asked, given: Mapping[str, str], *, before: bool) -> Response:
    return visit.page(
        "consent",
        leads_to=origin_of(asked.redirect_uri),
        title=f"Let {asked.client.name} in?",
        program=asked.client.name,
        before=before,
        asked=given,
        goes_to=_place(asked.redirect_uri),
        abilities=abilities(asked.scope),
        **await who_decides(visit),
    )


async def who_decides(visit: Visit) -> dict[str, Any]:
    """For the pages on which a user lets a program in: who that is, and in which of their accounts it may work."""
    acting = visit.acting
    async with visit.parts.database.reading() as session:
        profile = await people.get_profile(session, acting.user_id)
    named = [(str(one.account.id), one.account.name or "Your personal account") for one in profile.memberships]
    return {
        "email": profile.user.address,
        "accounts": [{"id": account_id, "name": name} for account_id, name in named],
        "account_id": str(acting.account_id),
    }


def abilities(scope: str) -> list[str]:
    """What a scope allows, in words."""
    return [line for one in scope.split() for line in SCOPES.get(one, ())]


def _place(redirect_uri: str) -> str:
    if is_assured(redirect_uri):
        return origin_of(redirect_uri)
    return "a program on this computer"
