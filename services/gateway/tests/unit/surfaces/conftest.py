"""What the surfaces' tests share: a price book's models, an account's terms, a choice of routing's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from contracts.ledger import BalanceChanged
from gateway.admission.terms import AccountTerms
from gateway.surfaces.estimates import Estimator

AT = datetime(2026, 11, 21, tzinfo=UTC)
ACCOUNT = UUID("0199f3a0-0000-7000-8000-00000000000a")


@dataclass(frozen=True)
class Chosen:
    """The part of routing's choice that surfaces read."""

    model: str
    serving_models: tuple[str, ...]
    near: bool = False


@dataclass
class Asked:
    """The part of an exchange that surfaces read."""

    body: bytes

    def header(self, name: bytes) -> bytes | None:
        return None


@pytest.fixture(scope="session")
def at() -> datetime:
    return AT


@pytest.fixture(scope="session")
def estimator() -> Estimator:
    return Estimator()


@pytest.fixture(scope="session")
def terms_with() -> Callable[..., AccountTerms]:
    """Called with fields of a snapshot: the account's terms."""

    def make(**changes: object) -> AccountTerms:
        values = {"version": 1, "state": "open", "markup_bps": 1_500, "arming": 1, "plan_id": "p", "plan_version": 1}
        return AccountTerms.of(BalanceChanged(id=ACCOUNT, time=AT, account_id=ACCOUNT, slices=(), **(values | changes)))

    return make


@pytest.fixture(scope="session")
def chosen() -> Callable[..., Chosen]:
    def make(model: str, *others: str, near: bool = False) -> Chosen:
        return Chosen(model, (model, *others), near)

    return make


@pytest.fixture(scope="session")
def asking() -> Callable[..., Asked]:
    """Called with a body, or its members: a request with it."""

    def make(body: bytes | dict[str, object] | None = None, **members: object) -> Asked:
        return Asked(body if isinstance(body, bytes) else orjson.dumps({**(body or {}), **members}))

    return make
