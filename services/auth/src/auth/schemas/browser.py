"""What pages of a product and clients that cannot refresh are given."""

from typing import Literal
from uuid import UUID

from kit.http import ResponseModel


class BrowserTokenAnswer(ResponseModel):
    """An access token for scripts to keep in memory; the refresh token stays in a cookie that they cannot read."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme
    expires_in: int
    session_id: UUID
    user_id: UUID
    account_id: UUID


class OneTokenAnswer(ResponseModel):
    """`token` is all that a client needs which cannot refresh: a session key where the operator allows that, else an
    access token, beside which there is a refresh token. `access_token` is the same under the name that others use.
    """

    token: str
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # a scheme
    expires_in: int
    refresh_token: str | None
    session_id: UUID
    user_id: UUID
    account_id: UUID
