"""The last step of a sign-in by another way: a session in the browser, after the second factor where there is one."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response

from auth.entrypoints.pages.entrance import arrived
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.parts import device_of, network_of
from auth.entrypoints.sealed import seal, unseal
from auth.entrypoints.visiting import Visit, VisitDep, local_path
from auth.errors import TooManyAttemptsError
from auth.service.arriving import Arrival, Way, finish_arrival
from auth.service.sessions import SignedIn
from auth.service.signing_in import CodeRefused

router = APIRouter(route_class=PageRoute)

_ASKED = "This account has a second factor."


async def arrive(visit: Visit, user_id: UUID, *, way: Way, onward: str) -> Response:
    """For whom the first proof was good."""
    outcome = await _finish(visit, user_id, way=way, code=None)
    if isinstance(outcome, SignedIn):
        return arrived(visit, outcome, local_path(onward))
    words = {"user": str(user_id), "way": way, "next": onward}
    return _code_page(visit, seal(visit.parts, words, purpose="arrival", browser_secret=visit.secret))


@router.post("/arrival/code")
async def arrive_with_code(visit: VisitDep) -> Response:
    visit.check_form()
    pending, code = visit.form.get("pending", ""), visit.form.get("code", "").strip()[:33]
    words = unseal(visit.parts, pending, purpose="arrival", browser_secret=visit.secret)
    way: Way = "magic-link" if words["way"] == "magic-link" else "identity"
    try:
        outcome = await _finish(visit, UUID(words["user"]), way=way, code=code)
    except TooManyAttemptsError as error:
        return _code_page(visit, pending, wrong=error.detail, status=429)
    if isinstance(outcome, SignedIn):
        return arrived(visit, outcome, local_path(words["next"]))
    return _code_page(visit, pending, wrong="The code is wrong, or it was used before.", status=401)


async def _finish(visit: Visit, user_id: UUID, *, way: Way, code: str | None) -> SignedIn | CodeRefused:
    parts, network = visit.parts, network_of(visit.request, visit.parts.trusted_proxies)
    arrival = Arrival(user_id=user_id, way=way, device=device_of(visit.request), network=network)
    signer = await parts.ring.signer()
    async with parts.database.transaction() as session:
        return await finish_arrival(
            session, arrival, code=code, second_factors=parts.second_factors, signer=signer, clock=parts.clock
        )


def _code_page(visit: Visit, pending: str, *, wrong: str | None = None, status: int = 200) -> Response:
    return visit.page(
        "code",
        status=status,
        title="One more step",
        asked=_ASKED,
        action="/auth/pages/arrival/code",
        pending=pending,
        next="",
        wrong={} if wrong is None else {"code": wrong},
    )
