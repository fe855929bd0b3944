"""A hold's id says what the hold is, and nobody but the gateways can make one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.types import Allocation
from gateway.errors import ModelApiError
from gateway.operations.seal import HoldFacts, HoldSeal

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
FACTS = HoldFacts(
    call_id=uuid4(),
    account_id=uuid4(),
    user_id=uuid4(),
    project_id=None,
    api_key_id=uuid4(),
    surface="/v1/holds",
    instance="gateway-1",
    operation="agent_run",
    unit="run",
    quantity=3,
    idempotency_key="key-1",
    body_sha256="a" * 64,
    price_book_version=4,
    plan_id="pro",
    plan_version=2,
    markup_bps=1500,
    admitted_at=NOW,
    allocation=(Allocation(str(uuid4()), "request", 1), Allocation(str(uuid4()), "credit", 10**14 + 1)),
    expires_at=NOW + timedelta(minutes=10),
)
SEAL = HoldSeal(b"a secret")


def test_an_id_tells_every_gateway_all_of_the_hold() -> None:
    hold_id = SEAL.hold_id(FACTS)

    assert HoldSeal(b"a secret").facts(hold_id, account_id=FACTS.account_id) == FACTS
    assert len(hold_id) < 800
    assert hold_id.replace("_", "").replace("-", "").isalnum()


@given(quantity=st.integers(1, 10**9), milliseconds=st.integers(0, 10**9), plan=st.none() | st.text(max_size=40))
def test_any_facts_survive_sealing(quantity: int, milliseconds: int, plan: str | None) -> None:
    facts = replace(
        FACTS, quantity=quantity, admitted_at=NOW + timedelta(milliseconds=milliseconds), plan_id=plan, allocation=()
    )

    assert SEAL.facts(SEAL.hold_id(facts), account_id=facts.account_id) == facts


def test_another_account_does_not_learn_that_the_hold_exists() -> None:
    with pytest.raises(ModelApiError) as refused:
        SEAL.facts(SEAL.hold_id(FACTS), account_id=uuid4())

    assert (refused.value.status, refused.value.message) == (404, "hold: there is no such hold")


@given(place=st.integers(5, 300), letter=st.sampled_from("Ab9-_"))
def test_an_id_with_another_letter_is_no_hold(place: int, letter: str) -> None:
    hold_id = SEAL.hold_id(FACTS)
    place = min(place, len(hold_id) - 2)
    forged = hold_id[:place] + letter + hold_id[place + 1 :]

    if forged != hold_id:
        with pytest.raises(ModelApiError, match="no such hold"):
            SEAL.facts(forged, account_id=FACTS.account_id)


@pytest.mark.parametrize("hold_id", ["", "hold_", "hold_AAAA", "hold_" + "A" * 9000, "hold_é", "hold_%", "x" * 40])
def test_what_was_never_an_id_is_no_hold(hold_id: str) -> None:
    with pytest.raises(ModelApiError, match="no such hold"):
        SEAL.facts(hold_id, account_id=FACTS.account_id)


def test_an_id_sealed_with_another_secret_is_no_hold() -> None:
    with pytest.raises(ModelApiError, match="no such hold"):
        HoldSeal(b"another secret").facts(SEAL.hold_id(FACTS), account_id=FACTS.account_id)
