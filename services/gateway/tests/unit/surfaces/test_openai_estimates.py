"""The worst case of calls to OpenAI-compatible providers: output without a limit, several choices, hidden content."""

import orjson
import pytest

from gateway.surfaces.estimates import Estimator
from gateway.surfaces.openai.chat import ChatSurface
from gateway.surfaces.openai.embeddings import EmbeddingsSurface
from gateway.surfaces.openai.responses import ResponsesSurface

MODEL = "claude-haiku-5-5"
TEXT = [{"role": "user", "content": "Hi"}]


def content(*parts: dict[str, object]) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.fixture(scope="module")
def estimate(book, at, terms_with, chosen, asking):
    surfaces = {
        "chat": ChatSurface(Estimator()),
        "responses": ResponsesSurface(Estimator()),
        "embeddings": EmbeddingsSurface(Estimator()),
    }

    def make(kind: str, *, terms=None, near: bool = False, **members: object):
        surface = surfaces[kind]
        ask = surface.parse(asking(model=MODEL, **members))
        return surface.estimate(ask, chosen(MODEL, near=near), book=book, terms=terms or terms_with(), at=at)

    return make


def test_without_a_limit_the_models_own_maximum_is_held(estimate, book):
    own = book.rates_for(MODEL).max_output_tokens
    found = estimate("chat", messages=TEXT)
    assert (found.max_tokens, found.clamped_max_tokens) == (own, None)
    assert estimate("responses", input="Hi").max_tokens == own


def test_without_a_limit_the_plans_ceiling_is_written_into_the_body(estimate, terms_with):
    terms = terms_with(limits={"max_tokens": 4_000})
    found = estimate("chat", messages=TEXT, terms=terms)
    assert (found.max_tokens, found.clamped_max_tokens) == (4_000, 4_000)
    several = estimate("chat", messages=TEXT, terms=terms, n=3)
    assert (several.max_tokens, several.clamped_max_tokens) == (3_999, 1_333)
    # A limit of the client's own is admission's to judge.
    assert estimate("chat", messages=TEXT, terms=terms, max_tokens=9_000).max_tokens == 9_000


def test_each_choice_is_held(estimate):
    one, three = (estimate("chat", messages=TEXT, max_tokens=100, n=n) for n in (1, 3))
    assert (one.max_tokens, three.max_tokens) == (100, 300)
    assert three.with_output(0).credit_nano == one.with_output(0).credit_nano
    assert three.worst().credit_nano > 2 * one.worst().credit_nano


def test_near_the_limit_each_choice_is_lowered(estimate, terms_with):
    terms = terms_with(terms={"near_limit": {"percent_left": 5, "max_tokens": 50}})
    found = estimate("chat", messages=TEXT, max_tokens=100, n=2, terms=terms, near=True)
    assert (found.max_tokens, found.clamped_max_tokens) == (100, 50)


@pytest.mark.parametrize(
    "members",
    [
        content({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://x"}}),
        content({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
        content({"type": "file", "file": {"file_id": "f"}}),
        content({"type": ["odd"]}),
        {"messages": [{"role": "assistant", "content": None, "audio": {"id": "a"}}]},
        {"messages": ["odd"]},
        {"messages": TEXT, "prediction": {"type": "content", "content": "x"}},
        {"messages": TEXT, "extra_body": {"google": {"cached_content": "c"}}},
    ],
)
def test_what_is_no_text_in_a_chat_reserves_the_window(estimate, book, members: dict[str, object]):
    assert estimate("chat", max_tokens=0, **members).worst().tokens >= book.rates_for(MODEL).context_window_tokens


@pytest.mark.parametrize(
    "members",
    [
        {"input": "Hi", "previous_response_id": "resp_1"},
        {"input": "Hi", "conversation": "conv_1"},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x"}]}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file"}]}]},
        {"input": {"odd": 1}},
    ],
)
def test_what_is_no_text_in_a_response_reserves_the_window(estimate, book, members: dict[str, object]):
    found = estimate("responses", max_output_tokens=0, **members)
    assert found.worst().tokens >= book.rates_for(MODEL).context_window_tokens


def test_text_is_held_by_its_bytes(estimate):
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
    ]
    assert estimate("responses", input=items, max_output_tokens=0).worst().tokens < 2_000
    assert estimate("responses", input="Hi", max_output_tokens=0).worst().tokens < 300
    tool = {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x"}]}
    assert estimate("chat", messages=[*TEXT, tool], max_tokens=0).worst().tokens < 500


def test_a_cache_that_the_body_asks_for_is_held_at_its_dearest(estimate):
    part = {"type": "text", "text": "x"}
    plain = estimate("chat", max_tokens=0, **content(part)).worst()
    cached = estimate("chat", max_tokens=0, **content({**part, "cache_control": {"type": "ephemeral"}})).worst()
    assert cached.credit_nano > 1.9 * plain.credit_nano


def test_a_picture_in_the_body_is_no_text_to_a_likely_cost(estimate):
    url = "data:image/png;base64," + "A" * 400_000
    found = estimate("chat", max_tokens=10, **content({"type": "image_url", "image_url": {"url": url}}))
    assert found.likely_input_tokens < 5_000


def test_an_embedding_has_no_output_and_a_window_for_each_input(estimate, book):
    window = book.rates_for(MODEL).context_window_tokens
    found = estimate("embeddings", input=["word " * 500_000] * 3)
    assert found.max_tokens == 0
    assert found.worst().tokens > window
    tokens = estimate("embeddings", input=[[1, 2, 3], [4, 5]])
    assert tokens.likely_input_tokens == 5
    assert tokens.worst().tokens >= 5


def test_the_estimate_is_the_same_whatever_the_json_looks_like(estimate, book, at, terms_with, chosen):
    surface = ChatSurface(Estimator())

    class Asked:
        body = orjson.dumps({"model": MODEL, "messages": TEXT, "max_tokens": 10}, option=orjson.OPT_INDENT_2)

    found = surface.estimate(surface.parse(Asked()), chosen(MODEL), book=book, terms=terms_with(), at=at)
    assert found.worst().tokens >= estimate("chat", messages=TEXT, max_tokens=10).worst().tokens
