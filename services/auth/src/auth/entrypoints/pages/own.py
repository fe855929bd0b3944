"""What a user holds: sessions, programs that were let in, API keys."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from auth.domain.access import ApiKey, Session
from auth.domain.devices import device_name
from auth.entrypoints.pages.consent import abilities
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.parts import before_id, forget_key, forget_sessions
from auth.entrypoints.visiting import SIGN_IN, Visit, VisitDep, id_of
from auth.errors import UnknownApiKeyError, UnknownConsentError, UnknownSessionError
from auth.schemas.keys import ApiKeyRequest
from auth.service import api_keys, sessions
from auth.service.api_keys import WantedKey
from auth.service.oauth import consents
from kit.errors import DomainError
from kit.paging import Cursor, encode_cursor

router = APIRouter(route_class=PageRoute)

_SHOWN = 25


@router.get("/sessions")
async def show_sessions(visit: VisitDep, cursor: Cursor = None) -> Response:
    acting, parts, before = visit.acting, visit.parts, before_id(cursor)
    async with parts.database.reading() as session:
        found = await sessions.list_sessions(
            session, acting.user_id, now=parts.clock.now(), before=before, limit=_SHOWN + 1
        )
        programs = await consents.list_consents(session, acting.user_id)
    names = {one.client_id: one.client_name for one in programs}
    shown = found[:_SHOWN]
    return visit.page(
        "sessions",
        title="Your sessions",
        wide=True,
        sessions=[_session(one, names, current=one.id == acting.session_id) for one in shown],
        next_cursor=encode_cursor(str(shown[-1].id)) if len(found) > _SHOWN else None,
    )


@router.post("/sessions/end")
async def end_session(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts = visit.acting, visit.parts
    session_id = id_of(visit.form.get("session_id", ""))
    if session_id is None:
        raise UnknownSessionError("You have no such session.")
    async with parts.database.transaction() as session:
        ended = await sessions.end_session(session, acting, session_id, clock=parts.clock)
    forget_sessions(parts, ended)
    if session_id != acting.session_id:
        return visit.go("/auth/pages/sessions")
    visit.leave()
    return visit.go(SIGN_IN)


@router.post("/sessions/end-all")
async def end_all(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts = visit.acting, visit.parts
    async with parts.database.transaction() as session:
        ended = await sessions.log_out_everywhere(session, acting, clock=parts.clock)
    forget_sessions(parts, ended)
    visit.leave()
    return visit.go(SIGN_IN)


@router.get("/programs")
async def show_programs(visit: VisitDep) -> Response:
    acting = visit.acting
    async with visit.parts.database.reading() as session:
        found = await consents.list_consents(session, acting.user_id)
    shown = [
        {
            "id": one.client_id,
            "name": one.client_name,
            "abilities": abilities(one.scope),
            "granted": _day(one.granted_at),
        }
        for one in found
    ]
    return visit.page("programs", title="Programs", wide=True, programs=shown)


@router.post("/programs/revoke")
async def revoke_program(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts, client_id = visit.acting, visit.parts, visit.form.get("client_id", "")[:64]
    try:
        async with parts.database.transaction() as session:
            ended = await consents.revoke_consent(session, acting, client_id, clock=parts.clock)
    except UnknownConsentError:
        return visit.go("/auth/pages/programs")
    forget_sessions(parts, ended)
    return visit.go("/auth/pages/programs")


@router.get("/keys")
async def show_keys(visit: VisitDep, cursor: Cursor = None) -> Response:
    return await _keys_page(visit, cursor=cursor)


@router.post("/keys")
async def make_key(visit: VisitDep) -> Response:
    """The key is on the page that answers, and nowhere else."""
    visit.check_form()
    acting, parts, name = visit.acting, visit.parts, visit.form.get("name", "").strip()
    days = visit.form.get("expires_in_days", "")
    try:
        wanted = _wanted(name, int(days) if days.isdecimal() else None)
    except ValueError:
        return await _keys_page(visit, name=name[:100], wrong={"name": "A name has 1 to 100 characters."}, status=422)
    try:
        async with parts.database.transaction() as session:
            _, text = await api_keys.make_key(session, acting, wanted, clock=parts.clock)
    except DomainError as error:
        return await _keys_page(visit, name=name, wrong={"form": error.detail}, status=409)
    return await _keys_page(visit, made=text, status=201)


@router.post("/keys/revoke")
async def revoke_key(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts, key_id = visit.acting, visit.parts, id_of(visit.form.get("key_id", ""))
    if key_id is None:
        raise UnknownApiKeyError("You have no such API key.")
    async with parts.database.transaction() as session:
        await api_keys.revoke_key(session, acting, key_id, clock=parts.clock)
    forget_key(parts, key_id)
    return visit.go("/auth/pages/keys")


def _wanted(name: str, days: int | None) -> WantedKey:
    """As the JSON route would take it; raises `ValueError`."""
    asked = ApiKeyRequest(name=name, mode="live", expires_in_days=days)
    return WantedKey(name=asked.name, mode=asked.mode, project_id=None, expires_in_days=asked.expires_in_days)


async def _keys_page(
    visit: Visit,
    *,
    cursor: str | None = None,
    status: int = 200,
    **words: Any,
) -> Response:
    acting, before = visit.acting, before_id(cursor)
    async with visit.parts.database.reading() as session:
        found = await api_keys.list_keys(session, acting, before=before, limit=_SHOWN + 1)
    shown = found[:_SHOWN]
    return visit.page(
        "keys",
        status=status,
        title="API keys",
        wide=True,
        keys=[_key(one) for one in shown],
        next_cursor=encode_cursor(str(shown[-1].id)) if len(found) > _SHOWN else None,
        **{"made": None, "name": "", "wrong": {}, **words},
    )


def _session(session: Session, names: dict[str, str], *, current: bool) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "device": device_name(session.device),
        "network": session.network,
        "program": names.get(session.client_id or ""),
        "last_seen": _minute(session.last_seen_at),
        "created": _day(session.created_at),
        "current": current,
    }


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "name": key.name,
        "prefix": key.prefix,
        "last4": key.last4,
        "active": key.state == "active",
        "created": _day(key.created_at),
        "expires": _day(key.expires_at) if key.expires_at else None,
        "last_used": _minute(key.last_used_at) if key.last_used_at else None,
    }


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}"


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
