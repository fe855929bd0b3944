"""The mailbox over HTTP: pages for people, JSON for programs."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox.mailbox.pages import list_page, mail_page, missing_page
from sandbox.mailbox.store import MailStore

_MOST_LISTED = 1000
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data: http: https:; "
    "frame-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def mailbox_app(store: MailStore) -> Starlette:
    async def show_list(request: Request) -> Response:
        return HTMLResponse(list_page(store.newest(limit=200)), headers=_PAGE_HEADERS)

    async def show_mail(request: Request) -> Response:
        mail = store.find(request.path_params["mail_id"])
        if mail is None:
            return HTMLResponse(missing_page(), 404, headers=_PAGE_HEADERS)
        return HTMLResponse(mail_page(mail), headers=_PAGE_HEADERS)

    async def list_mails(request: Request) -> Response:
        limit = request.query_params.get("limit", "100")
        if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_LISTED:
            return JSONResponse({"detail": f"limit: a number from 1 to {_MOST_LISTED}"}, 400)
        mails = store.newest(to=request.query_params.get("to"), limit=int(limit))
        return JSONResponse({"messages": [mail.summary() for mail in mails]})

    async def get_mail(request: Request) -> Response:
        mail = store.find(request.path_params["mail_id"])
        return JSONResponse(mail.details()) if mail else JSONResponse({"detail": "no such mail"}, 404)

    async def delete_mails(request: Request) -> Response:
        return JSONResponse({"deleted": store.clear()})

    async def live(request: Request) -> Response:
        return JSONResponse({"status": "live"})

    def route(path: str, answer: Callable[[Request], Awaitable[Response]], *, method: str = "GET") -> Route:
        return Route(path, answer, methods=[method])

    return Starlette(
        routes=[
            route("/", show_list),
            route("/messages/{mail_id}", show_mail),
            route("/api/messages", list_mails),
            route("/api/messages", delete_mails, method="DELETE"),
            route("/api/messages/{mail_id}", get_mail),
            route("/health/live", live),
        ]
    )
