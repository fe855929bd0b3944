import json
import stat
from pathlib import Path

import pytest

from sandbox.addresses import DEFAULT_PORT, Addresses
from sandbox.credentials import FILE_NAME, Credentials
from sandbox.environment import SERVICES, Environments
from sandbox.programs import programs
from sandbox.selection import Selection, without_real_keys
from sandbox.stack import External, Stack, StackError

STAND_INS = ("provider", "stripe", "mailbox")


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    made = Credentials.kept_in(tmp_path)

    assert Credentials.kept_in(tmp_path) == made
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert made.operator_password not in repr(made)


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc"])
def test_a_live_stripe_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(StackError, match="is a live key") as caught:
        Selection.from_env({"FAREGATE_STRIPE_SECRET_KEY": key})

    assert key not in str(caught.value)


def test_something_else_than_a_stripe_key_is_refused() -> None:
    with pytest.raises(StackError, match="sk_test_"):
        Selection.from_env({"FAREGATE_STRIPE_SECRET_KEY": "pk_test_abc"})


def test_without_keys_everything_is_a_stand_in(tmp_path: Path) -> None:
    environments = _environments(tmp_path, {})
    gateway, billing = environments.of_service("gateway"), environments.of_service("billing")

    assert environments.selection.has_only_stand_ins
    assert gateway["FAREGATE_ANTHROPIC_BASE_URL"] == environments.addresses.url("provider")
    assert gateway["FAREGATE_ANTHROPIC_API_KEY"] == environments.credentials.provider_api_key
    assert billing["FAREGATE_STRIPE_API_URL"] == environments.addresses.url("stripe")
    assert [program.name for program in programs(environments, folder=tmp_path)] == [*STAND_INS, *SERVICES]


def test_an_anthropic_key_selects_anthropic_and_says_that_it_costs(tmp_path: Path) -> None:
    environments = _environments(tmp_path, {"FAREGATE_ANTHROPIC_API_KEY": "sk-ant-real"})
    gateway = environments.of_service("gateway")

    assert gateway["FAREGATE_ANTHROPIC_API_KEY"] == "sk-ant-real"
    assert "FAREGATE_ANTHROPIC_BASE_URL" not in gateway
    assert "provider" not in [program.name for program in programs(environments, folder=tmp_path)]
    assert "real money" in environments.selection.described()["model provider"]


def test_another_provider_address_gets_the_sandbox_credential(tmp_path: Path) -> None:
    environments = _environments(tmp_path, {"FAREGATE_ANTHROPIC_BASE_URL": "http://127.0.0.1:9"})
    gateway = environments.of_service("gateway")

    assert gateway["FAREGATE_ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"
    assert gateway["FAREGATE_ANTHROPIC_API_KEY"] == environments.credentials.provider_api_key


def test_a_stripe_test_key_selects_stripe_and_polling(tmp_path: Path) -> None:
    billing = _environments(tmp_path, {"FAREGATE_STRIPE_SECRET_KEY": "sk_test_mine"}).of_service("billing")

    assert billing["FAREGATE_STRIPE_SECRET_KEY"] == "sk_test_mine"
    assert "FAREGATE_STRIPE_API_URL" not in billing
    assert billing["FAREGATE_BILLING_STRIPE_POLL_S"] == "5"


def test_a_secret_reaches_only_the_processes_that_need_it(tmp_path: Path) -> None:
    user = {"FAREGATE_ANTHROPIC_API_KEY": "sk-ant-real", "FAREGATE_STRIPE_SECRET_KEY": "sk_test_mine", "STRIPE_X": "y"}
    environments = _environments(tmp_path, user)
    credentials = environments.credentials
    told = {name: environments.of_service(name) for name in SERVICES} | {
        name: environments.of_stand_in(name) for name in STAND_INS
    }

    def who_knows(secret: str) -> set[str]:
        return {name for name, env in told.items() if secret in env.values()}

    assert who_knows("sk-ant-real") == {"gateway"}
    assert who_knows("sk_test_mine") == {"billing"}
    assert who_knows("y") == set()
    assert who_knows(credentials.auth_key_encryption_key) == {"auth"}
    assert who_knows(credentials.stripe_webhook_secret) == {"billing", "stripe"}
    for name, secret in credentials.service_secrets.items():
        assert who_knows(secret) == {name}
    for name in ("auth", "billing", "ledger", "notifier"):
        assert who_knows(environments.stack.database_url(name, is_running=True)) == {name}
    # Whoever may change the books' tables runs before the ledger, and ends.
    owner = environments.stack.database_url("ledger")
    assert who_knows(owner) == set()
    assert owner in environments.of_migration("ledger").values()


def test_auth_knows_the_hash_of_every_service_secret(tmp_path: Path) -> None:
    hashes = json.loads(_environments(tmp_path, {}).of_service("auth")["FAREGATE_AUTH_SERVICE_SECRET_HASHES"])

    assert sorted(hashes) == ["billing", "gateway", "ledger", "notifier"]
    assert all(len(digest) == 64 for digest in hashes.values())


def test_a_users_setting_reaches_its_service_and_cannot_break_the_wiring(tmp_path: Path) -> None:
    user = {"FAREGATE_GATEWAY_HOLD_PATIENCE_S": "7", "FAREGATE_GATEWAY_PORT": "1", "FAREGATE_LOG_LEVEL": "DEBUG"}
    environments = _environments(tmp_path, user)

    assert environments.of_service("gateway")["FAREGATE_GATEWAY_HOLD_PATIENCE_S"] == "7"
    assert environments.of_service("gateway")["FAREGATE_GATEWAY_PORT"] == str(environments.addresses.gateway)
    assert "FAREGATE_GATEWAY_HOLD_PATIENCE_S" not in environments.of_service("ledger")
    assert environments.of_service("ledger")["FAREGATE_LOG_LEVEL"] == "DEBUG"


@pytest.mark.parametrize("port", [DEFAULT_PORT, 21_000])
def test_no_two_parts_share_a_port(port: int) -> None:
    addresses = Addresses.from_gateway_port(port)
    names = [*SERVICES, *STAND_INS, "kafka", "kafka_controller", "postgres", "redis", "smtp"]

    assert addresses.gateway == port
    assert len({addresses.port(name) for name in names}) == len(names)


def test_real_keys_are_left_out() -> None:
    env = {"FAREGATE_ANTHROPIC_API_KEY": "a", "STRIPE_API_KEY": "b", "ANTHROPIC_BASE_URL": "c", "PATH": "/bin"}

    assert without_real_keys(env) == {"PATH": "/bin"}


def _environments(folder: Path, user: dict[str, str]) -> Environments:
    addresses = Addresses.from_gateway_port(21_000)
    stack = Stack(folder, ports=addresses.stack, external=External())
    stack.prepare()
    return Environments(
        user=user,
        addresses=addresses,
        credentials=Credentials.kept_in(folder),
        selection=Selection.from_env(user),
        stack=stack,
    )
