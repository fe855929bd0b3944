"""Who gets a mail, asked from auth at the moment of sending; nothing of it is kept."""

from typing import Any, TypeVar
from uuid import UUID

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kit.errors import UnavailableError
from kit.identity import ServiceTokens
from notifier.errors import NothingToSendError, TemporaryError

M = TypeVar("M", bound=BaseModel)


class Recipient(BaseModel):
    """One person's address. Its text form holds no address, because text forms end up in logs."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    user_id: UUID | None = None
    address: str = Field(repr=False, max_length=320)
    link: str | None = Field(default=None, repr=False)
    locale: str | None = None
    details: dict[str, str] = Field(default_factory=dict, repr=False)


class _Recipients(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    recipients: list[Recipient]


class Directory:
    """Auth's internal routes for addresses and links."""

    def __init__(self, url: str, *, http: httpx2.AsyncClient, tokens: ServiceTokens, timeout_s: float = 5.0) -> None:
        self._url = url
        self._http = http
        self._tokens = tokens
        self._timeout_s = timeout_s

    async def members(self, account_id: UUID, *, role: str) -> list[Recipient]:
        """The people who have this role in an account."""
        answer = await self._get(f"/internal/accounts/{account_id}/recipients", params={"role": role})
        return _checked(_Recipients, answer).recipients if answer is not None else []

    async def message(self, message_id: UUID) -> Recipient:
        """To whom a message of auth's goes, with a link minted by this very question."""
        answer = await self._get(f"/internal/messages/{message_id}", params={})
        if answer is None:
            raise NothingToSendError("auth knows no such message any more")
        return _checked(Recipient, answer)

    async def _get(self, path: str, *, params: dict[str, str]) -> Any:
        """The answer's JSON, None for 404. Errors name what happened, never what came."""
        try:
            headers = await self._tokens.headers("auth")
            answer = await self._http.get(f"{self._url}{path}", params=params, headers=headers, timeout=self._timeout_s)
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            return answer.json()
        except UnavailableError as error:
            raise TemporaryError("auth gives no service token") from error
        except httpx2.HTTPStatusError as error:
            raise TemporaryError(f"auth answered {error.response.status_code}") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise TemporaryError(f"auth does not answer: {type(error).__name__}") from error


def _checked(shape: type[M], answer: Any) -> M:
    try:
        return shape.model_validate(answer)
    except ValidationError:
        raise TemporaryError("auth's answer has not the agreed shape") from None
