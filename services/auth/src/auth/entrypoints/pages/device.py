"""Where a person types the code of a device, looks at who waits there, and says yes or no (RFC 8628, 3.3)."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from auth.domain.grants import shown_user_code
from auth.entrypoints.pages.consent import abilities, who_decides
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.visiting import Visit, VisitDep, id_of
from auth.errors import TooManyAttemptsError
from auth.service.oauth import devices

router = APIRouter(prefix="/device", route_class=PageRoute)

_UNKNOWN = "Nothing waits under this code. Look again at what your program shows, or begin there anew."


@router.get("")
async def show(visit: VisitDep, user_code: Annotated[str, Query(max_length=20)] = "") -> Response:
    """A code in the address is only filled in: that somebody opened a link decides nothing."""
    _ = visit.acting
    return _form(visit, user_code)


@router.post("")
async def look(visit: VisitDep) -> Response:
    visit.check_form()
    acting, user_code, parts = visit.acting, visit.form.get("user_code", "")[:20], visit.parts
    try:
        async with parts.database.transaction() as session:
            waiting = await devices.look(
                session, acting, user_code, known=parts.programs, limits=parts.limits, clock=parts.clock
            )
    except TooManyAttemptsError as error:
        return _form(visit, user_code, wrong=error.detail, status=429)
    if waiting is None:
        return _form(visit, user_code, wrong=_UNKNOWN, status=404)
    return visit.page(
        "device_consent",
        title=f"Let {waiting.client.name} in?",
        program=waiting.client.name,
        user_code=shown_user_code(waiting.device.user_code),
        asked_from=waiting.device.asked_from,
        abilities=abilities(waiting.device.scope),
        **await who_decides(visit),
    )


@router.post("/decision")
async def decide(visit: VisitDep) -> Response:
    visit.check_form()
    acting, user_code, parts = visit.acting, visit.form.get("user_code", "")[:20], visit.parts
    allowed = visit.form.get("decision") == "allow"
    account_id = id_of(visit.form.get("account_id", "")) or acting.account_id
    async with parts.database.transaction() as session:
        client = await devices.decide(
            session,
            acting,
            user_code,
            account_id=account_id if allowed else None,
            known=parts.programs,
            limits=parts.limits,
            clock=parts.clock,
        )
    if client is None:
        return _form(visit, "", wrong=_UNKNOWN, status=404)
    told = f"{client.name} is let in. Go back to it; this page may be closed." if allowed else "Nothing was allowed."
    return visit.page("message", title="Done", text=told, kind="done")


def _form(visit: Visit, user_code: str, *, wrong: str = "", status: int = 200) -> Response:
    return visit.page(
        "device",
        status=status,
        title="Connect a program or device",
        user_code=user_code,
        wrong={"user_code": wrong} if wrong else {},
    )
