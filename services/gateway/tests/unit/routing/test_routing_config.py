"""The configuration file: what it may say, and how it says what is wrong."""

import tomllib
from importlib import resources
from pathlib import Path

import pytest

from gateway.routing.errors import RoutingConfigError
from gateway.routing.routing import Routing
from gateway.routing.types import Address
from kit.clock import ManualClock

from .world import CONFIG, SECRETS, Books, World, book_of, plan, priced, world_at

SHIPPED = resources.files("gateway.routing").joinpath("default.toml")


def shipped(env: dict[str, str], *models: str) -> Routing:
    books = Books([book_of(*(priced(name, "1") for name in models))])
    routing = Routing(books=books, clock=ManualClock(), env=env, instance="gateway-a")  # type: ignore[arg-type]
    routing.load()
    return routing


def test_the_shipped_file_sends_claude_to_anthropic_as_ever_and_leaves_all_others_off() -> None:
    routing = shipped({"FAREGATE_ANTHROPIC_API_KEY": "sk-mine"}, "claude-sonnet-5-5", "gpt-5")

    choice = routing.choose("claude-sonnet-5-5", kind="anthropic", terms=plan(), conversation=b"")
    (target,) = choice.targets
    assert (target.base_url, target.address) == ("https://api.anthropic.com", Address("api.anthropic.com", 443, True))
    assert (target.auth_header, target.path_of("/v1/messages")) == ((b"x-api-key", b"sk-mine"), "/v1/messages")
    assert (choice.model, choice.spliced_model, choice.serving_models) == (
        "claude-sonnet-5-5", None, ("claude-sonnet-5-5",),
    )  # fmt: skip
    assert routing.providers_on() == ["anthropic", "anthropic-openai"]
    assert {one.name.partition("/")[0] for one in routing.providers_off()} == {
        "openai", "groq", "ollama", "openrouter", "gemini",
    }  # fmt: skip


def test_the_shipped_file_takes_another_address_and_a_key_switches_a_provider_on() -> None:
    env = {
        "FAREGATE_ANTHROPIC_API_KEY": "k",
        "FAREGATE_ANTHROPIC_BASE_URL": "http://127.0.0.1:9/",
        "FAREGATE_GEMINI_API_KEY": "g",
        "FAREGATE_GROQ_API_KEY": "q",
    }
    routing = shipped(env, "claude-opus-5-5", "gemini-3", '"groq/llama-5"')

    def target(model: str, kind: str):
        (found,) = routing.choose(model, kind=kind, terms=plan(), conversation=b"").targets  # type: ignore[arg-type]
        return found

    assert target("claude-opus-5-5", "anthropic").address == Address("127.0.0.1", 9, False)
    assert target("claude-opus-5-5", "openai").auth_header == (b"authorization", b"Bearer k")
    assert target("gemini-3", "openai").path_of("/v1/chat/completions") == "/v1beta/openai/chat/completions"
    assert target("groq/llama-5", "openai").path_of("/v1/chat/completions") == "/openai/v1/chat/completions"
    assert target("groq/llama-5", "openai").model == "llama-5"


def test_the_shipped_file_holds_no_secret_and_every_alias_is_priced_in_the_shipped_book(book) -> None:
    tables = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))

    secrets = [one["secret"] for provider in tables["providers"].values() for one in provider["credentials"]]
    assert all(secret.startswith(("env:", "file:")) for secret in secrets)
    assert {alias["model"] for alias in tables["aliases"].values()} <= set(book.rates)
    assert set(tables["models"]) == set(book.models)


@pytest.mark.parametrize(
    ("before", "after", "field", "reason"),
    [
        ('kind = "openai"', 'kind = "opneai"', "providers.open.kind", "anthropic"),
        ('address = "http://first.test:8000"', 'address = "first.test"', "providers.first.address", "http"),
        ('"http://first.test:8000"', '"http://me:pw@first.test"', "providers.first.address", "without user"),
        ('id = "two"', 'id = "one"', "providers.first.credentials", "same id"),
        ('"env:FAREGATE_OPEN_API_KEY"', '"sk-live-123"', "providers.open.credentials.0.secret", "by reference"),
        ('"env:FAREGATE_OPEN_API_KEY"', '"file:/run/../etc/key"', "providers.open.credentials.0.secret", "without .."),
        ("order = 2", "order = -2", "routes.second.order", "greater than or equal"),
        ("order = 2", "odrer = 2", "routes.second.odrer", "not a known setting"),
        ('models = ["dear", "cheap"]', "models = []", "routes.first.models", "must not be empty"),
        ("order = 2", "timeouts = { connect_s = 0 }", "routes.second.timeouts.connect_s", "greater than 0"),
        ('provider = "second"', 'provider = "third"', "routes.second.provider", "no such provider"),
        ('model = "dear"', 'model = "deer"', "aliases.best.model", "no route serves"),
        ("[aliases.best]", "[aliases.dear]", "aliases.dear", "a model has this name"),
        ('display_name = "Dear"', 'failover = ["best"]', "models.dear.failover.0", "an alias"),
        ('display_name = "Dear"', 'failover = ["dear"]', "models.dear.failover.0", "itself"),
        ("[aliases.best]", '[route_sets.x]\nroutes = ["y"]\n[aliases.best]', "route_sets.x.routes.0", "no such route"),
        (
            "[aliases.best]",
            '[route_sets.x]\ncredentials = ["first/three"]\n[aliases.best]',
            "route_sets.x.credentials.0",
            "no such credential",
        ),
        ("[routes.first]", "[routes.first", "the file", "is not TOML"),
    ],
)
def test_a_mistake_is_named_by_field_and_reason(tmp_path: Path, before: str, after: str, field: str, reason: str):
    assert before in CONFIG

    with pytest.raises(RoutingConfigError) as caught:
        world_at(tmp_path, CONFIG.replace(before, after))

    assert caught.value.problems[0].field == field
    assert reason in caught.value.problems[0].reason


def test_a_secret_in_the_file_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(RoutingConfigError) as caught:
        world_at(tmp_path, CONFIG.replace('"env:FAREGATE_OPEN_API_KEY"', '"sk-live-123"'))

    assert "sk-live-123" not in str(caught.value)
    assert "sk-live-123" not in repr(caught.value.extra)


def test_a_secret_of_a_target_is_not_shown(tmp_path: Path) -> None:
    choice = world_at(tmp_path).choose()

    assert "secret" not in repr(choice)
    assert choice.targets[0].secret in {b"secret-one", b"secret-two"}


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    config = CONFIG.replace("env:FAREGATE_OPEN_API_KEY", f"file:{tmp_path}/key")

    world = world_at(tmp_path, config)

    assert world.choose("open-small", kind="openai").targets[0].secret == b"from-a-file"


@pytest.mark.parametrize("secret", ["", "two\nlines", "with space", "ümlaut"])
def test_a_secret_that_is_no_single_line_switches_the_provider_off(tmp_path: Path, secret: str) -> None:
    world = world_at(tmp_path, env={"FAREGATE_ONE_API_KEY": "k", "FAREGATE_OPEN_API_KEY": secret})

    assert "open" not in world.routing.providers_on()
    assert "FAREGATE_OPEN_API_KEY" in next(one.reason for one in world.routing.providers_off() if "open" in one.name)


@pytest.mark.parametrize("address", ["", "nowhere", "ftp://first.test", "http://me:pw@first.test"])
def test_an_address_that_comes_to_nothing_switches_the_provider_off(tmp_path: Path, address: str) -> None:
    config = CONFIG.replace("http://first.test:8000", "${FIRST_URL}")
    world = world_at(tmp_path, config, env={**SECRETS, "FIRST_URL": address})

    assert world.routing.providers_on() == ["second", "open"]
    assert [one.name for one in world.routing.providers_off()] == ["first"]


def test_one_missing_credential_of_two_leaves_the_other_in_use(tmp_path: Path) -> None:
    world = world_at(tmp_path, env={"FAREGATE_TWO_API_KEY": "k"})

    assert [target.credential_id for target in world.choose("cheap").targets] == ["two"]
    assert world.routing.providers_on() == ["first"]


def reloaded(world: World, text: str) -> None:
    world.write(text)
    world.routing.tick()


def test_a_changed_file_takes_effect(tmp_path: Path) -> None:
    world = world_at(tmp_path)

    reloaded(world, CONFIG.replace("http://first.test:8000", "http://elsewhere.test:9000"))

    assert world.choose().targets[0].address == Address("elsewhere.test", 9000, False)


@pytest.mark.parametrize("text", ["[providers", CONFIG.replace("order = 2", 'order = "two"'), ""])
def test_a_broken_file_keeps_the_last_good_one_and_says_why(tmp_path: Path, text: str) -> None:
    world = world_at(tmp_path)
    if not text:
        world.path.unlink()
        world.routing.tick()
    else:
        reloaded(world, text)

    assert world.choose().targets[0].address.host == "first.test"
    assert world.routing.detail()

    reloaded(world, CONFIG)
    assert world.routing.detail() is None


def test_the_same_file_is_not_read_twice(tmp_path: Path) -> None:
    world = world_at(tmp_path)
    before = world.choose()

    world.routing.tick()

    assert world.choose() is before
