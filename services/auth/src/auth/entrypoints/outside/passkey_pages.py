"""Passkeys on pages, which need a script: signing in with one, keeping one's own."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import ValidationError

from auth.domain.passkeys import Passkey
from auth.entrypoints.outside.arriving import arrive
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.parts import Parts, network_of
from auth.entrypoints.proving import proof_of, prove
from auth.entrypoints.visiting import HOME, SIGN_IN, Visit, VisitDep, id_of, local_path
from auth.errors import PasskeyRefusedError, UnknownPasskeyError
from auth.schemas.passkeys import AddPasskeyRequest, PasskeySignInRequest
from auth.service import passkeys
from auth.service.passkeys import Copied
from kit.errors import DomainError
from kit.http import STATUS

router = APIRouter(route_class=PageRoute)

Next = Annotated[str, Query(alias="next", max_length=4096)]
SIGN_IN_PAGE: Final = "/auth/pages/passkey"
OWN: Final = "/auth/pages/passkeys"
_REFUSED: Final = "This passkey was not accepted. Try again, or use another way."


@router.get("/passkey")
async def show_sign_in(
    visit: VisitDep, onward: Annotated[str, Query(alias="next", max_length=4096)] = HOME
) -> Response:
    return await _sign_in_page(visit, local_path(onward))


@router.post("/passkey")
async def sign_in(visit: VisitDep) -> Response:
    visit.check_form()
    onward, parts = local_path(visit.form.get("next", HOME)), visit.parts
    try:
        body = PasskeySignInRequest.model_validate({"credential": _credential(visit)})
        async with parts.database.transaction() as session:
            used = await parts.passkeys.use(
                session,
                body.credential,
                purpose="passkey-sign-in",
                user_id=None,
                network=network_of(visit.request, parts.trusted_proxies),
                clock=parts.clock,
            )
    except (ValidationError, PasskeyRefusedError):
        return await _sign_in_page(visit, onward, wrong=_REFUSED, status=401)
    if isinstance(used, Copied):
        return await _sign_in_page(visit, onward, wrong=_REFUSED, status=401)
    return await arrive(visit, used.user_id, way="passkey", onward=onward)


@router.get("/passkeys")
async def show_own(visit: VisitDep) -> Response:
    return await _own_page(visit)


@router.post("/passkeys/new")
async def begin(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts, name = visit.acting, visit.parts, visit.form.get("name", "").strip()[:100]
    try:
        await prove(parts, acting, proof_of(visit.form))
        async with parts.database.transaction() as session:
            options = await parts.passkeys.begin_registration(session, acting, clock=parts.clock)
    except DomainError as error:
        return await _own_page(visit, name=name, wrong={error.field or "form": error.detail}, status=STATUS[error.kind])
    return _ceremony(
        visit,
        title="Make a passkey",
        text="Press the button; your browser or device asks you to confirm that it is you.",
        ceremony="create",
        options=options,
        action=OWN,
        button="Make the passkey",
        back=OWN,
        fields={"name": name},
    )


@router.post("/passkeys")
async def add(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts = visit.acting, visit.parts
    try:
        body = AddPasskeyRequest.model_validate({"credential": _credential(visit), "name": visit.form.get("name")})
    except ValidationError:
        return await _own_page(visit, wrong={"form": _REFUSED}, status=422)
    try:
        async with parts.database.transaction() as session:
            await parts.passkeys.register(session, acting, body.credential, name=body.name, clock=parts.clock)
    except DomainError as error:
        return await _own_page(visit, wrong={"form": error.detail}, status=STATUS[error.kind])
    return visit.go(OWN)


@router.post("/passkeys/remove")
async def remove(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts, passkey_id = visit.acting, visit.parts, id_of(visit.form.get("passkey_id", ""))
    try:
        if passkey_id is None:
            raise UnknownPasskeyError("You have no such passkey.")
        await prove(parts, acting, proof_of(visit.form))
        async with parts.database.transaction() as session:
            await passkeys.remove_passkey(session, acting, passkey_id, clock=parts.clock)
    except DomainError as error:
        return await _own_page(visit, wrong={"form": error.detail}, status=STATUS[error.kind])
    return visit.go(OWN)


async def _sign_in_page(visit: Visit, onward: str, *, wrong: str | None = None, status: int = 200) -> Response:
    options = await _sign_in_options(visit.parts, network=network_of(visit.request, visit.parts.trusted_proxies))
    return _ceremony(
        visit,
        status=status,
        title="Sign in with a passkey",
        text="Press the button and choose your passkey.",
        ceremony="get",
        options=options,
        action=SIGN_IN_PAGE,
        button="Sign in",
        back=SIGN_IN,
        fields={"next": onward},
        wrong={"form": wrong} if wrong else {},
    )


async def _sign_in_options(parts: Parts, *, network: str) -> dict[str, Any]:
    async with parts.database.transaction() as session:
        await parts.limits.take_challenge(session, network=network, now=parts.clock.now())
        return await parts.passkeys.begin_sign_in(session, clock=parts.clock)


def _ceremony(visit: Visit, *, options: dict[str, Any], status: int = 200, **words: Any) -> Response:
    return visit.page("passkey", status=status, script=True, options=json.dumps(options), **{"wrong": {}, **words})


async def _own_page(visit: Visit, *, name: str = "", status: int = 200, **words: Any) -> Response:
    acting = visit.acting
    async with visit.parts.database.reading() as session:
        found = await passkeys.list_passkeys(session, acting.user_id)
    shown = [_shown(one) for one in found]
    wrong = words.get("wrong", {})
    return visit.page("passkeys", status=status, title="Your passkeys", passkeys=shown, name=name, wrong=wrong)


def _shown(passkey: Passkey) -> dict[str, Any]:
    used = passkey.last_used_at
    return {
        "id": str(passkey.id),
        "name": passkey.name,
        "synced": passkey.backed_up,
        "since": f"{passkey.created_at:%Y-%m-%d}",
        "used": f"{used:%Y-%m-%d}" if used else None,
    }


def _credential(visit: Visit) -> Any:
    try:
        return json.loads(visit.form.get("credential", ""))
    except ValueError:
        return None
