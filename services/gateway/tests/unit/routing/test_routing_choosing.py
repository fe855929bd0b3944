"""Which model, which targets, in which order."""

from collections import Counter
from pathlib import Path
from uuid import UUID, uuid4

import openai.types
import pytest
from anthropic.types import ModelInfo

from contracts.terms import AliasChoice, NearLimit
from gateway.errors import ModelApiError
from gateway.routing.conversation import conversation_key

from .world import CONFIG, World, book_of, plan, priced, world_at

ALL = [number.to_bytes(4, "big") for number in range(1024)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_at(tmp_path)


def refused(world: World, model: str, **more) -> ModelApiError:
    with pytest.raises(ModelApiError) as caught:
        world.choose(model, **more)
    return caught.value


def test_the_routes_stand_in_their_order_with_the_providers_own_names(world: World) -> None:
    choice = world.choose("dear")

    assert [target.route for target in choice.targets] == ["first", "first", "second"]
    assert [target.model for target in choice.targets] == ["dear", "dear", "vendor/dear"]
    assert [choice.spliced_for(target) for target in choice.targets] == [None, None, "vendor/dear"]
    assert choice.spliced_model is None
    last = choice.targets[-1]
    assert (last.auth_header, last.path_of("/v1/messages")) == (
        (b"authorization", b"Bearer secret-one"), "/base/v1/messages",
    )  # fmt: skip


def test_a_dated_name_goes_out_as_it_came_and_is_priced_as_the_model(world: World) -> None:
    choice = world.choose("dear-20261001")

    assert (choice.model, choice.spliced_model, choice.targets[0].model) == ("dear", None, "dear-20261001")


def test_an_alias_is_spliced_and_priced_as_what_it_stands_for(world: World) -> None:
    choice = world.choose("best")

    assert (choice.model, choice.alias, choice.spliced_model) == ("dear", "best", "dear")


def test_the_plan_decides_what_an_alias_stands_for(world: World) -> None:
    mine = plan(aliases=(AliasChoice(alias="best", model="cheap"), AliasChoice(alias="own", model="dear")))

    assert world.choose("best", terms=mine).model == "cheap"
    assert world.choose("own", terms=mine).spliced_model == "dear"
    assert world.choose("best").model == "dear"


def test_an_alias_of_the_plan_for_what_is_not_sold_does_not_fall_back_to_the_files(world: World) -> None:
    mine = plan(aliases=(AliasChoice(alias="best", model="unpriced"),))

    assert refused(world, "best", terms=mine).status == 404


@pytest.mark.parametrize("model", ["unheard-of", "open-small", "dear-2027", "", "dear "])
def test_what_has_no_price_or_no_route_for_this_kind_of_client_is_not_found(world: World, model: str) -> None:
    error = refused(world, model)

    assert (error.status, error.error_type) == (404, "not_found_error")


def test_a_model_with_a_route_but_without_a_price_is_never_free(tmp_path: Path) -> None:
    world = world_at(tmp_path, books=[book_of(priced("cheap", "1"))])

    assert refused(world, "dear").status == 404
    assert refused(world, "best").status == 404
    assert [one["id"] for one in world.routing.models(None, plan())] == ["cheap"]


def test_without_a_price_book_nothing_is_refused_for_good(tmp_path: Path) -> None:
    world = world_at(tmp_path, books=[])

    assert refused(world, "dear").status == 503


def test_a_price_book_counts_from_when_it_takes_effect(tmp_path: Path) -> None:
    first = book_of(priced("cheap", "1"))
    second = book_of(priced("cheap", "1"), priced("dear", "9"), version=2, effective_at="2026-11-21T12:05:00Z")
    world = world_at(tmp_path, books=[first, second])

    assert refused(world, "dear").status == 404
    world.clock.advance(301)
    world.routing.tick()
    assert world.choose("dear").model == "dear"


def test_a_plan_sells_only_its_own_models_under_any_of_their_names(world: World) -> None:
    assert refused(world, "dear", terms=plan("cheap")).status == 404
    assert world.choose("dear-20261001", terms=plan("dear")).model == "dear"
    assert world.choose("best", terms=plan("best")).model == "dear"
    assert refused(world, "dear", terms=plan("best")).status == 404


def test_near_the_limit_the_plans_cheaper_alias_takes_over(world: World) -> None:
    near = NearLimit(percent_left=10, alias="small")
    mine = plan(aliases=(AliasChoice(alias="small", model="cheap"),), near_limit=near)

    choice = world.choose("dear", terms=mine, near=True)
    assert (choice.model, choice.alias, choice.spliced_model, choice.near) == ("cheap", "small", "cheap", True)
    assert world.choose("dear", terms=mine).model == "dear"


def test_near_the_limit_nobody_is_made_to_pay_more_or_to_leave_the_plan(world: World) -> None:
    dearer = plan(near_limit=NearLimit(percent_left=10, alias="best"))
    barred = plan("dear", near_limit=NearLimit(percent_left=10, alias="cheap"))
    unnamed = plan(near_limit=NearLimit(percent_left=10, max_tokens=100))

    assert world.choose("cheap", terms=dearer, near=True).model == "cheap"
    for terms in (barred, unnamed):
        choice = world.choose("dear", terms=terms, near=True)
        assert (choice.model, choice.near, choice.spliced_model) == ("dear", True, None)


def test_failover_to_another_model_happens_only_where_it_is_configured(tmp_path: Path) -> None:
    world = world_at(tmp_path, CONFIG.replace('display_name = "Dear"', 'failover = ["cheap"]'))

    choice = world.choose("dear")
    assert choice.serving_models == ("dear", "cheap")
    assert [target.serves for target in choice.targets] == ["dear", "dear", "dear", "cheap", "cheap"]
    assert choice.spliced_for(choice.targets[-1]) == "cheap"
    assert world.choose("cheap").serving_models == ("cheap",)


def test_a_failover_that_the_plan_does_not_allow_is_left_out(tmp_path: Path) -> None:
    world = world_at(tmp_path, CONFIG.replace('display_name = "Dear"', 'failover = ["cheap"]'))

    choice = world.choose("dear", terms=plan("dear"))
    assert choice.serving_models == ("dear",)
    assert {target.serves for target in choice.targets} == {"dear"}


def test_a_conversation_stays_on_its_credential_and_others_spread(world: World) -> None:
    shares = Counter(world.choose(conversation=one).targets[0].credential_id for one in ALL)

    assert world.choose(conversation=ALL[5]) is world.choose(conversation=ALL[5])
    assert 450 < shares["one"] < 574


def test_calls_of_no_conversation_are_spread(world: World) -> None:
    shares = Counter(world.choose(conversation=b"").targets[0].credential_id for _ in range(1024))

    assert 450 < shares["one"] < 574


def test_weights_share_the_conversations_of_one_order(tmp_path: Path) -> None:
    config = CONFIG.replace("order = 2", "weight = 3").replace(
        'id = "two", secret', 'id = "two", reserved = true, secret'
    )
    world = world_at(tmp_path, config)

    shares = Counter(world.choose(conversation=one).targets[0].route for one in ALL)
    assert 700 < shares["second"] < 830


def test_a_routes_credentials_share_its_weight(tmp_path: Path) -> None:
    world = world_at(tmp_path, CONFIG.replace("order = 2", "weight = 1"))

    shares = Counter(world.choose(conversation=one).targets[0].route for one in ALL)
    assert 450 < shares["second"] < 574


def test_no_weight_takes_only_what_fails_over(tmp_path: Path) -> None:
    world = world_at(tmp_path, CONFIG.replace("order = 2", "weight = 0"))

    assert {world.choose(conversation=one).targets[0].route for one in ALL} == {"first"}
    assert world.choose().targets[-1].route == "second"


def test_only_the_conversations_of_a_credential_that_goes_are_moved(tmp_path: Path) -> None:
    before, after = world_at(tmp_path), world_at(tmp_path, env={"FAREGATE_ONE_API_KEY": "secret-one"})

    for one in ALL:
        held = before.choose("cheap", conversation=one).targets[0].credential_id
        now = after.choose("cheap", conversation=one).targets[0].credential_id
        assert now == "one" or held == "two"


ROUTE_SET = """
[route_sets.gold]
credentials = ["first/two"]
routes = ["first"]
service_tier = "priority"
"""
RESERVED = CONFIG.replace('id = "two", secret', 'id = "two", reserved = true, secret') + ROUTE_SET


def test_a_plans_route_set_has_its_own_credentials_routes_and_service_tier(tmp_path: Path) -> None:
    world = world_at(tmp_path, RESERVED)

    (target,) = world.choose(terms=plan(route_set="gold")).targets
    assert (target.credential_id, target.service_tier) == ("two", "priority")
    others = [world.choose(conversation=one).targets for one in ALL]
    assert not any(target.credential_id == "two" for targets in others for target in targets)


def test_a_route_set_that_nobody_configured_serves_nothing(world: World) -> None:
    error = refused(world, "dear", terms=plan(route_set="silver"))

    assert (error.status, error.headers["retry-after"]) == (503, "30")


def test_disabled_entries_serve_nothing(tmp_path: Path) -> None:
    def off(header: str) -> World:
        return world_at(tmp_path, CONFIG.replace(header, f"{header}\nenabled = false"))

    assert [target.route for target in off("[providers.first]").choose().targets] == ["second"]
    assert {target.route for target in off("[routes.second]").choose().targets} == {"first"}
    assert refused(off("[models.dear]"), "dear").status == 404
    assert refused(off("[aliases.best]"), "best").status == 404


def test_timeouts_of_the_route_stand_over_the_providers(tmp_path: Path) -> None:
    config = CONFIG.replace("order = 2", "order = 2\ntimeouts = { first_byte_s = 5 }")
    config = config.replace('auth = "bearer"', 'auth = "bearer"\ntimeouts = { connect_s = 2, first_byte_s = 60 }')

    assert world_at(tmp_path, config).choose().targets[-1].timeouts == (2.0, 5.0, 330.0)


def test_the_list_shows_what_the_plan_may_use_in_both_vendors_shapes(world: World) -> None:
    listed = world.routing.models(None, plan())

    assert [one["id"] for one in listed] == ["dear", "cheap", "open-small", "best"]
    assert listed[0] == {
        "type": "model",
        "id": "dear",
        "display_name": "Dear",
        "created_at": "2026-10-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 1000,
        "max_tokens": 100,
        "object": "model",
        "created": 1790812800,
        "owned_by": "first",
    }
    assert [one["id"] for one in world.routing.models("anthropic", plan("cheap"))] == ["cheap"]
    assert [one["id"] for one in world.routing.models("openai", plan())] == ["cheap", "open-small"]


def test_one_model_is_found_by_each_of_its_names(world: World) -> None:
    assert world.routing.model("dear-20261001", None, plan())["id"] == "dear-20261001"
    assert world.routing.model("best", None, plan())["display_name"] == "best (Dear)"
    with pytest.raises(ModelApiError):
        world.routing.model("dear", None, plan("cheap"))


def test_both_sdks_read_the_entries(world: World) -> None:
    for one in world.routing.models(None, plan()):
        assert ModelInfo.model_validate(one, strict=False).display_name
        assert openai.types.Model.model_validate(one).owned_by


ACCOUNT = UUID("0199f3a0-0000-7000-8000-0000000000f0")


def test_a_claude_code_session_is_one_conversation_whatever_it_says() -> None:
    headers = [(b"host", b"x"), (b"x-claude-code-session-id", b"session-1")]

    assert conversation_key(headers, ACCOUNT, b"a") == conversation_key(headers, ACCOUNT, b"b")
    assert conversation_key(headers, ACCOUNT, b"a") != conversation_key(headers, uuid4(), b"a")


def test_without_a_session_the_beginning_of_the_prompt_tells_conversations_apart() -> None:
    start = b"s" * 1024

    assert conversation_key([], ACCOUNT, start + b"first turn") == conversation_key([], ACCOUNT, start + b"second")
    assert conversation_key([], ACCOUNT, b"one" + start) != conversation_key([], ACCOUNT, b"two" + start)


def test_a_conversation_has_the_same_key_in_every_process() -> None:
    assert conversation_key([], ACCOUNT, b"prompt").hex() == "4fbf284b"
