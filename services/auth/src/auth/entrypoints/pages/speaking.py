"""How pages refuse: with a page, or by leading to the sign-in."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

from auth.entrypoints.parts import OtherWay, Parts
from auth.entrypoints.visiting import page_headers, to_sign_in
from auth.errors import SignInNeededError
from kit.errors import DomainError
from kit.http import STATUS

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route that answers people: whatever is refused is said on a page."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def speaking(request: Request) -> Response:
            try:
                return await handle(request)
            except SignInNeededError:
                return RedirectResponse(to_sign_in(request), 303, {"referrer-policy": "no-referrer"})
            except DomainError as error:
                headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s is not None else {}
                return plain_page(
                    request.app.state.parts,
                    "That did not work",
                    error.detail,
                    status=STATUS[error.kind],
                    kind="failed",
                    headers=headers,
                )

        return speaking


def plain_page(
    parts: Parts,
    title: str,
    text: str,
    *,
    status: int = 200,
    kind: str = "",
    headers: dict[str, str] | None = None,
    link: OtherWay | None = None,
) -> HTMLResponse:
    """A page that only tells something, whoever looks at it."""
    onward = {"link": link.path, "link_text": link.text} if link else {}
    page = parts.templates.page("message", title=title, text=text, kind=kind, signed_in=False, csrf="", **onward)
    return HTMLResponse(page, status, {**page_headers(referrer="no-referrer"), **(headers or {})})
