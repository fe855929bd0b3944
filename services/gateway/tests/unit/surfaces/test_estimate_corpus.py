"""How far the input estimate is from the provider's count: docs/estimates.md states the bounds that this test holds."""

import base64
import json
import random
from collections.abc import Iterator

import httpx2
import pytest

from gateway.surfaces.anthropic.ask import parse_ask
from gateway.surfaces.anthropic.bounds import bounds_of

LETTERS = {
    "English": "etaoinshrdlucmfwypvbgkjqxz",
    "German": "enisratdhulcgmobwfkzvüäößpj",
    "Russian": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф",
    "Greek": "αοιετσνηυρπκμλωδγχθφβξζψ",
    "Arabic": "ايلمونرتبةعدسفهكقحجذشطصخضزثئغ",
    "Hindi": "करतनपसहमलवदयगबजटचशथधभखणडफघ",
    "Thai": "กนรมอวสทลบปหตยดพคจชถขงผ",
    "Korean": "이다는에의가을고하지로한은나도인사기서",
    "Japanese": "のにはをたがでてとしれさあいうえおかき東京電車夜静",
    "Chinese": "的一是不了人我在有他这中大来上国说时要",
    "Amharic": "ሀለሐመሠረሰሸቀበተቸነኘአከኸወዐዘዠየደጀገጠ",
    "Khmer": "កខគឃងចឆជឈញដឋឌឍណតថទធន",
}
EMOJI = "👩‍👩‍👧‍👦🏳️‍🌈🚋😀🎉🧑🏽‍🚀❤️"
WORDS = ("return", "self", "value", "index", "request", "await", "None", "total", "config", "handler")


def words_of(letters: str, *, count: int, chance: random.Random) -> str:
    return " ".join("".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(count)) + "."


def code(chance: random.Random) -> str:
    lines = []
    for n in range(200):
        name, other = chance.choice(WORDS), chance.choice(WORDS)
        lines.append(f"{'    ' * (n % 4)}if {name}[{n}] != {other}.{name}({n * 7}, key='{other}'):  # {name} {other}")
    return "\n".join(lines)


def corpus() -> Iterator[tuple[str, str]]:
    chance = random.Random(7)
    for language, letters in LETTERS.items():
        yield language, words_of(letters, count=800, chance=chance)
    yield "code", code(chance)
    yield "JSON", json.dumps([{"name": f"item {n}", "price": n / 7, "tags": ["a", "b"]} for n in range(200)])
    yield "base64", base64.b64encode(chance.randbytes(4_000)).decode()
    yield "hexadecimal", chance.randbytes(3_000).hex()
    yield "digits", "".join(chance.choices("0123456789", k=6_000))
    yield "emoji", "".join(chance.choices(EMOJI, k=1_500))
    yield "spaces", " " * 4_000
    yield "escapes", '"\\\n\t\u0001' * 600


CORPUS = dict(corpus())
# The most that the estimate may be above the count of the stand-in, which takes four bytes of JSON for a token.
MOST = {"digits": 4.3, "escapes": 3.8, "hexadecimal": 3.6, "JSON": 3.5, "Hindi": 2.8, "Thai": 2.8, "Amharic": 2.8,
        "Khmer": 2.8, "code": 2.8, "emoji": 2.7, "base64": 2.7}  # fmt: skip
MOST_ELSE = 2.3


async def counted(provider, body: dict[str, object]) -> int:
    headers = {"x-api-key": provider.api_key, "anthropic-version": "2023-06-01"}
    async with httpx2.AsyncClient(base_url=provider.base_url, headers=headers) as http:
        answer = await http.post("/v1/messages/count_tokens", json=body)
    return int(answer.json()["input_tokens"])


@pytest.mark.parametrize("name", CORPUS)
async def test_the_estimate_is_above_the_count_and_not_far(provider, name: str, record_property):
    """However the client's JSON spells it."""
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": CORPUS[name]}]}
    count = await counted(provider, body)
    for ascii_only in (False, True):
        raw = json.dumps({**body, "max_tokens": 1}, ensure_ascii=ascii_only).encode()
        found = bounds_of(parse_ask(raw), model="claude-haiku-5-5")
        record_property(name, round(found.input_tokens / count, 2))
        assert count <= found.input_tokens <= MOST.get(name, MOST_ELSE) * count + 200
        assert 0.9 <= found.likely_input_tokens / count <= 2.1


@pytest.mark.parametrize("length", [0, 1, 10, 100])
async def test_short_calls_have_a_fixed_part(provider, length: int):
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "x" + "y" * length}]}
    count = await counted(provider, body)
    found = bounds_of(parse_ask(json.dumps({**body, "max_tokens": 1}).encode()), model="claude-haiku-5-5")
    assert count <= found.input_tokens <= count + 400


async def test_tools_and_a_system_prompt_are_part_of_it(provider):
    tool = {"name": "look", "description": "Looks it up. " * 40, "input_schema": {"type": "object", "properties": {}}}
    body = {
        "model": "claude-haiku-5-5",
        "system": CORPUS["English"],
        "tools": [tool],
        "messages": [{"role": "user", "content": [{"type": "text", "text": CORPUS["code"]}]}] * 3,
    }
    count = await counted(provider, body)
    found = bounds_of(parse_ask(json.dumps({**body, "max_tokens": 1}).encode()), model="claude-haiku-5-5")
    assert count <= found.input_tokens <= 3.0 * count + 1_500
