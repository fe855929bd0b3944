"""The sandbox sells what Faregate sells, and two models that nobody else has."""

from pathlib import Path

import pytest

from ledger.settings import SHIPPED_BOOK
from rating import parse_book
from sandbox.addresses import Addresses
from sandbox.credentials import Credentials
from sandbox.environment import Environments
from sandbox.price_book import book_in, sandbox_book
from sandbox.selection import Selection
from sandbox.stack import External, Stack


def test_the_sandbox_sells_everything_at_the_shipped_prices_and_two_models_more() -> None:
    shipped = parse_book(SHIPPED_BOOK.read_text(encoding="utf-8"), version=1)
    book = parse_book(sandbox_book(), version=1)

    assert book.models.keys() - shipped.models.keys() == {"sandbox-gpt", "sandbox-embedding"}
    assert {name: book.models[name] for name in shipped.models} == shipped.models
    assert book.operations == shipped.operations


def test_the_file_follows_the_book(tmp_path: Path) -> None:
    path = book_in(tmp_path)
    path.write_text("# older", encoding="utf-8")

    assert book_in(tmp_path).read_text(encoding="utf-8") == sandbox_book()


def environments_of(folder: Path, user: dict[str, str]) -> Environments:
    addresses = Addresses.from_gateway_port(21_000)
    stack = Stack(folder, ports=addresses.stack, external=External())
    stack.prepare()
    return Environments(user, addresses, Credentials.kept_in(folder), Selection.from_env(user), stack)


@pytest.mark.parametrize(("user", "stands_in"), [({}, True), ({"FAREGATE_ANTHROPIC_API_KEY": "sk-ant-real"}, False)])
def test_the_stand_ins_models_are_sold_and_served_where_it_stands_in(
    tmp_path: Path, *, user: dict[str, str], stands_in: bool
) -> None:
    environments = environments_of(tmp_path, user)
    gateway, ledger = environments.of_service("gateway"), environments.of_service("ledger")

    assert ("FAREGATE_LEDGER_PRICE_BOOK" in ledger) is stands_in
    assert (gateway.get("FAREGATE_OPENAI_BASE_URL") == environments.addresses.url("provider")) is stands_in
    assert (gateway.get("FAREGATE_OPENAI_API_KEY") == environments.credentials.provider_api_key) is stands_in


def test_a_users_own_price_book_is_used(tmp_path: Path) -> None:
    environments = environments_of(tmp_path, {"FAREGATE_LEDGER_PRICE_BOOK": "/mine.toml"})

    assert environments.of_service("ledger")["FAREGATE_LEDGER_PRICE_BOOK"] == "/mine.toml"
