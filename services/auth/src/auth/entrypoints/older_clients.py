"""Paths that older clients know, onto the same handlers; `/me` and `/api/auth/me` are the gateway's."""

from fastapi import APIRouter

from auth.entrypoints import sign_in
from auth.entrypoints.parts import refusals

router = APIRouter(tags=["clients that exist"])

for _path, _name in (("/register", "register"), ("/api/auth/signup", "signup")):
    router.add_api_route(
        _path,
        sign_in.register,
        methods=["POST"],
        status_code=201,
        summary="As `POST /auth/register`",
        operation_id=f"alias_{_name}",
        responses=refusals(429, 503),
    )
router.add_api_route(
    "/api/auth/login",
    sign_in.login,
    methods=["POST"],
    summary="As `POST /auth/login`",
    operation_id="alias_api_login",
    responses=refusals(401, 429, 503),
)
router.add_api_route(
    "/api/auth/logout",
    sign_in.logout,
    methods=["POST"],
    summary="As `POST /auth/logout`",
    operation_id="alias_logout",
    responses=refusals(401, 403, 404),
)
