"""Signing in, up and out, and asking for a new password, without any script."""

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import Response

from auth.domain.passwords import LONGEST, SHORTEST
from auth.entrypoints import entering
from auth.entrypoints.entering import Login
from auth.entrypoints.pages.speaking import PageRoute
from auth.entrypoints.parts import forget_sessions
from auth.entrypoints.passwords import ask_for_reset
from auth.entrypoints.visiting import HOME, SIGN_IN, Visit, VisitDep, local_path
from auth.errors import (
    AddressError,
    LinkUsedError,
    TooManyAttemptsError,
    UnknownSessionError,
    WrongCodeAtSignInError,
    WrongCredentialsError,
)
from auth.service import sessions
from auth.service.sessions import SignedIn
from kit.errors import DomainError
from kit.http import STATUS

router = APIRouter(route_class=PageRoute)

AUTHORIZE: Final = "/auth/authorize"
Next = Annotated[str, Query(alias="next", max_length=4096)]
Wrong = dict[str, str]


@router.get("/sign-in")
async def show_sign_in(visit: VisitDep, onward: Next = HOME) -> Response:
    if visit.caller is not None:
        return visit.go(local_path(onward))
    return _sign_in_page(visit, onward)


@router.post("/sign-in")
async def sign_in(visit: VisitDep) -> Response:
    visit.check_form()
    form, onward = visit.form, local_path(visit.form.get("next", HOME))
    login = Login(form.get("email", "")[:255], form.get("password", "")[:513])
    try:
        outcome = await entering.sign_in_at_page(visit.parts, visit.request, login, browser_secret=visit.secret)
    except (AddressError, WrongCredentialsError):
        return _sign_in_page(
            visit, onward, email=login.email, wrong={"form": "Address or password is wrong."}, status=401
        )
    except TooManyAttemptsError as error:
        return _sign_in_page(visit, onward, email=login.email, wrong={"form": error.detail}, status=429)
    if isinstance(outcome, SignedIn):
        return arrived(visit, outcome, onward)
    return _code_page(visit, outcome, onward)


@router.post("/sign-in/code")
async def sign_in_with_code(visit: VisitDep) -> Response:
    visit.check_form()
    form, onward = visit.form, local_path(visit.form.get("next", HOME))
    pending, code = form.get("pending", ""), form.get("code", "").strip()[:33]
    try:
        signed_in = await entering.continue_with_code(
            visit.parts, visit.request, pending, code, browser_secret=visit.secret
        )
    except (LinkUsedError, WrongCredentialsError):
        wrong = {"form": "That took too long. Sign in again."}
        return _sign_in_page(visit, onward, wrong=wrong, status=410)
    except WrongCodeAtSignInError as error:
        return _code_page(visit, pending, onward, wrong={"code": error.detail}, status=401)
    except TooManyAttemptsError as error:
        return _code_page(visit, pending, onward, wrong={"code": error.detail}, status=429)
    return arrived(visit, signed_in, onward)


@router.get("/sign-up")
async def show_sign_up(visit: VisitDep, onward: Next = HOME) -> Response:
    return _sign_up_page(visit, onward)


@router.post("/sign-up")
async def sign_up(visit: VisitDep) -> Response:
    visit.check_form()
    email, password = visit.form.get("email", "")[:255], visit.form.get("password", "")
    onward = local_path(visit.form.get("next", HOME))
    if not SHORTEST <= len(password) <= LONGEST:
        wrong = {"password": f"A password has {SHORTEST} to {LONGEST} characters."}
        return _sign_up_page(visit, onward, email=email, wrong=wrong, status=422)
    try:
        proof = visit.form.get("proof") or None
        await entering.sign_up(visit.parts, visit.request, email, password, proof=proof)
    except DomainError as error:
        field = error.field if error.field in ("email", "password") else "form"
        return _sign_up_page(visit, onward, email=email, wrong={field: error.detail}, status=STATUS[error.kind])
    return visit.page(
        "message",
        title="Look into your mailbox",
        text="We have sent you a mail. You can sign in now; some things wait until you have opened its link.",
        kind="done",
        link=f"{SIGN_IN}?{urlencode({'next': onward})}",
        link_text="Sign in",
    )


@router.get("/forgot")
async def show_forgot(visit: VisitDep) -> Response:
    return _forgot_page(visit)


@router.post("/forgot")
async def forgot(visit: VisitDep) -> Response:
    visit.check_form()
    email = visit.form.get("email", "")[:255]
    try:
        await ask_for_reset(visit.parts, visit.request, email)
    except (AddressError, TooManyAttemptsError) as error:
        status = 422 if isinstance(error, AddressError) else 429
        return _forgot_page(visit, email=email, wrong={"email": error.detail}, status=status)
    text = "If there is an account with this address, a mail with a link is on its way. The link works for 10 minutes."
    return visit.page("message", title="Look into your mailbox", text=text, kind="done")


@router.post("/sign-out")
async def sign_out(visit: VisitDep) -> Response:
    if visit.caller is not None:
        visit.check_form()
        await end_session(visit)
    text = "You are signed out of this browser."
    return visit.page("message", title="Signed out", text=text, kind="done", link=SIGN_IN, link_text="Sign in again")


async def end_session(visit: Visit) -> None:
    """End the session of this browser and take its cookies away."""
    acting = visit.acting
    async with visit.parts.database.transaction() as session:
        try:
            ended = await sessions.end_session(session, acting, acting.session_id, clock=visit.parts.clock)
        except UnknownSessionError:
            # It ended on another device a moment ago.
            ended = []
    forget_sessions(visit.parts, ended)
    visit.leave()


def arrived(visit: Visit, signed_in: SignedIn, onward: str) -> Response:
    """The browser has its tokens and goes on. To a program it goes by a page: a form may not lead away from here."""
    visit.arrive(signed_in)
    if not onward.startswith(AUTHORIZE):
        return visit.go(onward)
    return visit.page(
        "message",
        title="You are signed in",
        text="You are being led back to the program.",
        onward=onward,
        link=onward,
        link_text="Continue",
    )


def _sign_in_page(visit: Visit, onward: str, *, email: str = "", status: int = 200, **words: Any) -> Response:
    return visit.page(
        "sign_in",
        status=status,
        title="Sign in",
        next=local_path(onward),
        email=email,
        wrong=words.get("wrong", {}),
        other_ways=visit.parts.other_ways,
    )


def _code_page(visit: Visit, pending: str, onward: str, *, wrong: Wrong | None = None, status: int = 200) -> Response:
    return visit.page("code", status=status, title="One more step", pending=pending, next=onward, wrong=wrong or {})


def _sign_up_page(visit: Visit, onward: str, *, email: str = "", status: int = 200, **words: Any) -> Response:
    guard, wrong = visit.parts.guard, words.get("wrong", {})
    if guard.kind == "siteverify":
        return _sign_up_elsewhere(visit, onward)
    # Work is done by a script, the only one on these pages besides the passkeys'.
    work = guard.challenge(now=visit.parts.clock.now()) if guard.kind == "proof_of_work" else None
    return visit.page(
        "sign_up",
        status=status,
        script=work is not None,
        title="Sign up",
        next=local_path(onward),
        email=email,
        wrong=wrong,
        shortest=SHORTEST,
        longest=LONGEST,
        work=work,
        bits=guard.bits,
    )


def _sign_up_elsewhere(visit: Visit, onward: str) -> Response:
    """A captcha is a script of somebody else, which these pages never load: the product's own form has it."""
    there = visit.parts.sign_up_url
    return visit.page(
        "message",
        title="Sign up",
        text="New accounts are made with a captcha, which this page does not load.",
        kind="note",
        link=there or f"{SIGN_IN}?{urlencode({'next': local_path(onward)})}",
        link_text="Sign up there" if there else "Sign in another way",
    )


def _forgot_page(visit: Visit, *, email: str = "", wrong: Wrong | None = None, status: int = 200) -> Response:
    return visit.page("forgot", status=status, title="A new password", email=email, wrong=wrong or {})
