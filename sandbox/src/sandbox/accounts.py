"""Accounts made as a customer or an operator would make them: through the public API."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Self
from uuid import uuid4

import httpx2

from sandbox.credentials import Login
from sandbox.stack import StackError

TIMEOUT_S = 15.0
PATIENCE_S = 60.0
_TOO_MANY = httpx2.codes.TOO_MANY_REQUESTS
KNOWN_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """What a script needs to make calls."""

    account_id: str
    token: str = field(repr=False)
    api_key: str = field(repr=False)

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An access token and the account it is for."""

    account_id: str
    token: str = field(repr=False)


class PublicApi:
    """The gateway's address, used without any knowledge of what is behind it."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def is_known(self, login: Login) -> bool:
        answer = await self._post("/auth/login", asdict(login))
        return answer.status_code == httpx2.codes.OK

    async def register(self, login: Login) -> None:
        _checked(await self._post("/auth/register", asdict(login)), doing="registering")

    async def log_in(self, login: Login) -> SignedIn:
        """Waits as it is told to after too many attempts from this network."""
        deadline = time.monotonic() + PATIENCE_S
        while (response := await self._post("/auth/login", asdict(login))).status_code == _TOO_MANY:
            wait_s = int(response.headers.get("retry-after", 1))
            if time.monotonic() + wait_s > deadline:
                break
            await asyncio.sleep(wait_s)
        answer = _checked(response, doing="logging in")
        return SignedIn(account_id=answer["account_id"], token=answer["access_token"])

    async def step_up(self, login: Login) -> str:
        """A token that moves money and users: an operator proves the password once more."""
        signed_in = await self.log_in(login)
        headers = _bearer(signed_in.token)
        answer = await self._post("/auth/step-up", {"password": login.password}, headers=headers)
        return str(_checked(answer, doing="stepping up")["access_token"])

    async def create_api_key(self, token: str, *, name: str) -> str:
        answer = await self._post("/auth/api-keys", {"name": name, "mode": "test"}, headers=_bearer(token))
        return str(_checked(answer, doing="making an API key")["key"])

    async def adjust(self, operator_token: str, *, account_id: str, credits_amount: str, reason: str) -> None:
        content = {"account_id": account_id, "amount_credits": credits_amount, "reason": reason}
        headers = {**_bearer(operator_token), "Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + KNOWN_TIMEOUT_S
        while True:
            answer = await self._post("/ledger/operator/adjustments", content, headers=headers)
            # The ledger hears of a new account a moment after the sign-up.
            if answer.status_code != httpx2.codes.NOT_FOUND or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        _checked(answer, doing="adjusting the credits")

    async def _post(
        self, path: str, content: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        try:
            return await self._http.post(path, json=content, headers=dict(headers or {}))
        except httpx2.HTTPError as error:
            raise StackError(f"{self._http.base_url} does not answer: {type(error).__name__}; is it up?") from error


async def make_account(api: PublicApi, *, operator: Login, credits_amount: str) -> Account:
    """A new customer with an API key and, beyond what its plan gives, these credits."""
    customer = Login(f"customer-{uuid4().hex[:12]}@example.com", uuid4().hex)
    await api.register(customer)
    signed_in = await api.log_in(customer)
    api_key = await api.create_api_key(signed_in.token, name="sandbox")
    if Decimal(credits_amount):
        await api.adjust(
            await api.step_up(operator),
            account_id=signed_in.account_id,
            credits_amount=credits_amount,
            reason="sandbox account command",
        )
    return Account(signed_in.account_id, signed_in.token, api_key)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _checked(answer: httpx2.Response, *, doing: str) -> dict[str, Any]:
    if not answer.is_success:
        raise StackError(f"{doing} was refused with status {answer.status_code}: {answer.text[:500]}")
    content: dict[str, Any] = answer.json()
    return content
