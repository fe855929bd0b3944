"""One request of a browser to one of our pages: who is there, and how a page is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from auth.domain.audit import Acting
from auth.entrypoints.browser import new_browser_secret
from auth.entrypoints.parts import Parts, PartsDep, network_of
from auth.entrypoints.refreshing import refresh
from auth.errors import NotInBrowserError, SignInNeededError
from auth.service.sessions import Refused, SignedIn
from kit.errors import UnauthenticatedError
from kit.identity import Identity
from kit.tokens import Caller

R = TypeVar("R", bound=Response)

FORM_MOST_BYTES: Final = 16_384
SIGN_IN: Final = "/auth/pages/sign-in"
HOME: Final = "/auth/pages/sessions"


@dataclass
class Visit:
    """Who asks for a page. `renewed` holds tokens that were refreshed on the way, which the answer must bring."""

    request: Request
    parts: Parts
    secret: str
    new_secret: bool
    caller: Caller | None = None
    renewed: SignedIn | None = None
    left: bool = False
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def session_id(self) -> str:
        return str(self.caller.session_id) if self.caller else ""

    @property
    def acting(self) -> Acting:
        """Raises `SignInNeededError`, which leads to the page for that and back."""
        if self.caller is None or self.caller.session_id is None:
            raise SignInNeededError("Sign in first.")
        return Acting(
            user_id=self.caller.user_id,
            account_id=self.caller.account_id,
            session_id=self.caller.session_id,
            operator=self.caller.operator,
            network=network_of(self.request, self.parts.trusted_proxies),
        )

    def check_form(self) -> None:
        """Raises `NotInBrowserError` unless the form was sent by a page that we gave to this browser."""
        self.parts.browser.check_csrf(self.request, self.form.get("csrf", ""), session_id=self.session_id)

    def page(
        self, template: str, /, *, status: int = 200, leads_to: str = "", script: bool = False, **words: Any
    ) -> HTMLResponse:
        """A page; `leads_to` is where its form may lead besides ourselves, `script` whether it has a file of ours."""
        csrf = self.parts.browser.csrf_token(self.secret, self.session_id)
        text = self.parts.templates.page(template, csrf=csrf, signed_in=self.caller is not None, **words)
        return self.with_cookies(HTMLResponse(text, status, page_headers(leads_to, script=script)))

    def go(self, path: str) -> Response:
        return self.with_cookies(RedirectResponse(path, 303, {"referrer-policy": "no-referrer"}))

    def with_cookies(self, response: R) -> R:
        if self.new_secret:
            self.parts.browser.know(response, self.secret)
        if self.left:
            self.parts.browser.sign_out(response)
        if self.renewed is not None:
            self.parts.browser.sign_in(response, self.renewed, secret=self.secret)
        return response

    def leave(self) -> None:
        """The browser has no session any more."""
        self.caller, self.renewed, self.left = None, None, True

    def arrive(self, signed_in: SignedIn) -> None:
        """The browser has a session from now on, and is known by another secret than before."""
        self.secret, self.new_secret, self.renewed = new_browser_secret(), True, signed_in


def page_headers(goes_to: str = "", *, referrer: str = "same-origin", script: bool = False) -> dict[str, str]:
    leads_to, scripts = f"'self' {goes_to}".rstrip(), "script-src 'self'; " if script else ""
    return {
        "content-security-policy": (
            f"default-src 'none'; style-src 'self'; {scripts}img-src 'self'; form-action {leads_to}; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "referrer-policy": referrer,
        "cross-origin-opener-policy": "same-origin",
    }


async def _visit(request: Request, parts: PartsDep) -> Visit:
    secret = parts.browser.secret_of(request)
    visit = Visit(request, parts, secret or new_browser_secret(), new_secret=secret is None)
    identity: Identity = request.app.state.identity
    visit.caller = await _caller(identity, parts.browser.cookie(request, "access"))
    if visit.caller is None:
        await _renew(visit, identity)
    if request.method == "POST":
        visit.form = await read_page_form(request)
    return visit


VisitDep = Annotated[Visit, Depends(_visit)]


async def _caller(identity: Identity, token: str | None) -> Caller | None:
    """Whom a cookie's token speaks for; neither a program nor an operator who only looks has pages."""
    if token is None:
        return None
    try:
        caller = await identity.of_token(token)
    except UnauthenticatedError:
        return None
    own = caller.session_id is not None and caller.client_id is None and caller.actor_id is None
    return caller if own else None


async def _renew(visit: Visit, identity: Identity) -> None:
    """Refresh what the browser holds; a token that is no good leaves the visitor as one who has not signed in."""
    parts, token = visit.parts, visit.parts.browser.cookie(visit.request, "refresh")
    if not token:
        return
    outcome = await refresh(parts, token)
    if isinstance(outcome, Refused):
        return
    visit.renewed = outcome
    visit.caller = await _caller(identity, outcome.issued.token)


async def read_page_form(request: Request) -> dict[str, str]:
    """The first value of each field; nothing of what is too long or no form."""
    body = await request.body()
    if len(body) > FORM_MOST_BYTES:
        return {}
    try:
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return {}
    return {name: value.replace("\x00", "") for name, value in reversed(pairs)}


def local_path(path: str) -> str:
    """Where to go on after signing in: a path of this origin and nothing that a browser takes for another address."""
    parts = urlsplit(path) if path.isascii() and path.isprintable() and "\\" not in path else None
    fine = parts is not None and path.startswith("/") and not path.startswith("//") and not parts.netloc
    return path if fine else HOME


def to_sign_in(request: Request) -> str:
    """The page for signing in, which comes back to what was asked for."""
    query = request.url.query
    wanted = request.url.path + (f"?{query}" if query else "") if request.method == "GET" else HOME
    return f"{SIGN_IN}?{urlencode({'next': wanted})}"


def id_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def refuse_other_sites(request: Request) -> None:
    """For forms that a link's token proves: no other site sends them either, where the browser tells."""
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise NotInBrowserError("This was not sent by a page of this site.")
