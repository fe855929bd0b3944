"""Questions to other services at the moment of sending; nothing of the answers is kept."""

from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from kit.errors import UnavailableError
from kit.identity import ServiceTokens
from notifier.errors import TemporaryError

M = TypeVar("M", bound=BaseModel)


class Inside:
    """One service's internal routes. Errors name what happened, never what came."""

    def __init__(
        self, service: str, url: str, *, http: httpx2.AsyncClient, tokens: ServiceTokens, timeout_s: float = 5.0
    ) -> None:
        self._service = service
        self._url = url
        self._http = http
        self._tokens = tokens
        self._timeout_s = timeout_s

    async def get(self, path: str, shape: type[M], **params: str) -> M | None:
        """The answer in its agreed shape, None for 404; raises `TemporaryError`."""
        answer = await self._get(path, params)
        if answer is None:
            return None
        try:
            return shape.model_validate(answer)
        except ValidationError:
            raise TemporaryError(f"{self._service}'s answer has not the agreed shape") from None

    async def _get(self, path: str, params: dict[str, str]) -> Any:
        try:
            headers = await self._tokens.headers(self._service)
            answer = await self._http.get(f"{self._url}{path}", params=params, headers=headers, timeout=self._timeout_s)
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            return answer.json()
        except UnavailableError as error:
            raise TemporaryError("auth gives no service token") from error
        except httpx2.HTTPStatusError as error:
            raise TemporaryError(f"{self._service} answered {error.response.status_code}") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise TemporaryError(f"{self._service} does not answer: {type(error).__name__}") from error
