"""Browsers: both tokens in cookies that no script reads, and proof that a request comes from a page of ours."""

import base64
import hmac
import secrets
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from fastapi import Request, Response

from auth.adapters.sealing import Keyed
from auth.domain.access import ACCESS_S, SESSION_DAYS
from auth.errors import NotInBrowserError
from auth.service.sessions import SignedIn

CookieName = Literal["access", "refresh", "browser", "csrf"]

_SECRET_BYTES: Final = 24
_MONTH_S: Final = SESSION_DAYS * 86_400
_SECRET_CHARS: Final = 32
_ALL: Final[tuple[CookieName, ...]] = ("access", "refresh", "csrf")


@dataclass(frozen=True, slots=True)
class Browser:
    """How this installation speaks to browsers.

    `secure`: cookies have the prefix `__Host-`, so that only https on this very host sets them. The sandbox may do
    without on plain http, under names of its own, which nothing else accepts.
    """

    secure: bool
    origin: str
    keyed: Keyed

    @classmethod
    def at(cls, public_url: str, *, sandbox: bool, keyed: Keyed) -> "Browser":
        parts = urlsplit(public_url)
        return cls(not sandbox or parts.scheme == "https", f"{parts.scheme}://{parts.netloc}", keyed)

    def name(self, what: CookieName) -> str:
        return f"__Host-fg_{what}" if self.secure else f"fg_sandbox_{what}"

    def cookie(self, request: Request, what: CookieName) -> str | None:
        return request.cookies.get(self.name(what))

    def secret_of(self, request: Request) -> str | None:
        """What this browser was given to be known by, whoever has signed in."""
        given = self.cookie(request, "browser") or ""
        return given if len(given) == _SECRET_CHARS and given.isascii() else None

    def csrf_token(self, secret: str, session_id: str = "") -> str:
        """For one browser and one session: another site knows neither."""
        digest = self.keyed.digest("csrf", secret, session_id)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def check_origin(self, request: Request) -> None:
        """Raises `NotInBrowserError` unless the browser says that a page of this origin asks.

        `Sec-Fetch-Site` where there is one; older browsers send `Origin`.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        same = site == "same-origin" if site is not None else origin == self.origin
        if not same:
            raise NotInBrowserError("This was not sent by a page of this site.")

    def check_csrf(self, request: Request, given: str, *, session_id: str = "") -> None:
        """Raises `NotInBrowserError` unless the token is the one of this browser and session."""
        self.check_origin(request)
        secret = self.secret_of(request)
        if secret is None or not _same(given, self.csrf_token(secret, session_id)):
            raise NotInBrowserError("The page is too old, or your browser keeps no cookies. Load it again.")

    def sign_in(self, response: Response, signed_in: SignedIn, *, secret: str) -> None:
        """Give the browser its tokens; `csrf` is for pages of the product, whose scripts read it."""
        self._set(response, "access", signed_in.issued.token, most_s=ACCESS_S)
        self._set(response, "refresh", signed_in.refresh_token, most_s=_MONTH_S)
        self._set(response, "csrf", self.csrf_token(secret, str(signed_in.session.id)), most_s=_MONTH_S, read=True)

    def know(self, response: Response, secret: str) -> None:
        self._set(response, "browser", secret, most_s=_MONTH_S)

    def sign_out(self, response: Response) -> None:
        for what in _ALL:
            self._set(response, what, "", most_s=0)

    def _set(self, response: Response, what: CookieName, value: str, *, most_s: int, read: bool = False) -> None:
        response.set_cookie(
            self.name(what), value, max_age=most_s, path="/", secure=self.secure, httponly=not read, samesite="lax"
        )


def new_browser_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())
