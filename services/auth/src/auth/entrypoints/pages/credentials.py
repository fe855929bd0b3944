"""What a user signs in with: changing the password, setting up, renewing and removing the second factor."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from auth.adapters.pictures import qr_code
from auth.domain.passwords import LONGEST, SHORTEST
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.passwords import change_to
from auth.entrypoints.proving import proof_of, prove
from auth.entrypoints.sealed import seal, unseal
from auth.entrypoints.visiting import HOME, Visit, VisitDep
from auth.errors import WrongCodeError
from auth.service import people
from kit.errors import DomainError
from kit.http import STATUS

router = APIRouter(route_class=PageRoute)

FACTOR: Final = "/auth/pages/second-factor"
Wrong = dict[str, str]


@router.get("/password")
async def show_password(visit: VisitDep) -> Response:
    return await _password_page(visit)


@router.post("/password")
async def change_password(visit: VisitDep) -> Response:
    visit.check_form()
    acting, password = visit.acting, visit.form.get("new_password", "")
    if not SHORTEST <= len(password) <= LONGEST:
        wrong = {"new_password": f"A password has {SHORTEST} to {LONGEST} characters."}
        return await _password_page(visit, wrong=wrong, status=422)
    try:
        await change_to(visit.parts, acting, password, proof=proof_of(visit.form))
    except DomainError as error:
        return await _password_page(visit, wrong=_wrong(error), status=STATUS[error.kind])
    text = "Your new password is set. You are signed out everywhere but in this browser."
    return visit.page("message", title="Password changed", text=text, kind="done", link=HOME, link_text="Your sessions")


@router.get("/second-factor")
async def show_factor(visit: VisitDep) -> Response:
    return await _factor_page(visit)


@router.post("/second-factor")
async def begin(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts = visit.acting, visit.parts
    try:
        await prove(parts, acting, proof_of(visit.form))
        async with parts.database.transaction() as session:
            secret, uri = await parts.second_factors.begin(session, acting, clock=parts.clock)
    except DomainError as error:
        return await _factor_page(visit, wrong=_wrong(error), status=STATUS[error.kind])
    words = {"secret": secret, "uri": uri}
    return _secret_page(visit, words, seal(parts, words, purpose="authenticator", browser_secret=visit.secret))


@router.post("/second-factor/confirm")
async def confirm(visit: VisitDep) -> Response:
    """A wrong code shows the same secret again, out of what this browser was given."""
    visit.check_form()
    acting, parts, pending = visit.acting, visit.parts, visit.form.get("pending", "")
    words = unseal(parts, pending, purpose="authenticator", browser_secret=visit.secret)
    code = visit.form.get("code", "").strip()[:32]
    try:
        async with parts.database.transaction() as session:
            made = await parts.second_factors.confirm(session, acting, code, clock=parts.clock)
    except WrongCodeError as error:
        return _secret_page(visit, words, pending, wrong=_wrong(error), status=STATUS[error.kind])
    return _codes_page(visit, made, told="From now on a code is asked for whenever you sign in, unless by a passkey.")


@router.post("/second-factor/change")
async def change_factor(visit: VisitDep) -> Response:
    visit.check_form()
    acting, parts, removes = visit.acting, visit.parts, visit.form.get("do") == "remove"
    try:
        await prove(parts, acting, proof_of(visit.form))
        async with parts.database.transaction() as session:
            if removes:
                await parts.second_factors.remove(session, acting, clock=parts.clock)
                return visit.go(FACTOR)
            made = await parts.second_factors.renew_recovery_codes(session, acting, clock=parts.clock)
    except DomainError as error:
        return await _factor_page(visit, wrong=_wrong(error), status=STATUS[error.kind])
    return _codes_page(visit, made, told="The recovery codes that you had before do not work any more.")


async def _password_page(visit: Visit, *, wrong: Wrong | None = None, status: int = 200) -> Response:
    return visit.page(
        "password",
        status=status,
        title="Change your password",
        factor=await _has_factor(visit),
        wrong=wrong or {},
        shortest=SHORTEST,
        longest=LONGEST,
    )


async def _factor_page(visit: Visit, *, wrong: Wrong | None = None, status: int = 200) -> Response:
    has = await _has_factor(visit)
    return visit.page("second_factor", status=status, title="Second factor", factor=has, wrong=wrong or {})


def _secret_page(
    visit: Visit, words: Mapping[str, str], pending: str, *, wrong: Wrong | None = None, status: int = 200
) -> Response:
    return visit.page(
        "authenticator",
        status=status,
        title="Set up your authenticator app",
        secret=words["secret"],
        uri=words["uri"],
        pending=pending,
        picture=qr_code(words["uri"]),
        wrong=wrong or {},
    )


def _codes_page(visit: Visit, codes: list[str], *, told: str) -> Response:
    return visit.page("recovery_codes", title="Your recovery codes", codes=codes, told=told)


async def _has_factor(visit: Visit) -> bool:
    async with visit.parts.database.reading() as session:
        return (await people.get_profile(session, visit.acting.user_id)).second_factor


def _wrong(error: DomainError) -> Wrong:
    return {error.field or "form": error.detail}
