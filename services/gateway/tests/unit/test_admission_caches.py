"""What admission remembers of accounts is bounded, and found in the same time however many there are."""

from datetime import UTC, datetime
from uuid import uuid4

from contracts.ledger import BalanceChanged
from contracts.terms import Limits
from gateway.admission.learned import LearnedTerms
from gateway.admission.scripts import AccountScripts, Command, account_keys, packed
from gateway.admission.terms import AccountTerms, encode


def snapshot(**values):
    return BalanceChanged(
        id=uuid4(), time=datetime.now(UTC), account_id=uuid4(), version=1, state="open", markup_bps=5, **values
    )


def test_accounts_of_one_plan_share_their_terms():
    learned = LearnedTerms()
    first, second = (learned.learn(uuid4(), encode(snapshot(plan_id="pro"))) for _ in range(2))
    other = learned.learn(uuid4(), encode(snapshot(plan_id="pro", limits=Limits(concurrency=1))))

    assert first is second
    assert other.digest != first.digest


def test_what_is_known_of_accounts_is_bounded():
    learned = LearnedTerms(most_accounts=3)
    accounts = [uuid4() for _ in range(5)]
    encoded = encode(snapshot())
    for account_id in accounts:
        learned.learn(account_id, encoded)

    assert [learned.find(account_id) is not None for account_id in accounts] == [False, False, True, True, True]


def test_the_order_of_models_decides_nothing():
    assert AccountTerms.of(snapshot(models=("a", "b"))).digest == AccountTerms.of(snapshot(models=("b", "a"))).digest


def test_a_prepared_command_is_the_one_that_the_client_would_write():
    script, account_id = AccountScripts().admit, uuid4()

    written = Command(script, run_id="run:1%", offset_ms=-5).written(account_id, "é|1", b"\x00%s")

    keys = account_keys(account_id)
    assert written == packed("EVALSHA", script.sha, len(keys), *keys, "run:1%", -5, "é|1", b"\x00%s")
    whole = packed("EVAL", script.body, len(keys), *keys, "run:1%", -5, "é|1", b"\x00%s")
    assert script.whole(written) == whole
