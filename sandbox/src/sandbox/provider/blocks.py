"""Content blocks, each as it starts, grows and ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import orjson

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """One block: what a stream opens it with, its deltas, and what a whole message shows."""

    opened: Json
    whole: Json
    deltas: Sequence[Json] = field(default_factory=tuple)


def text_block(texts: Sequence[str]) -> Block:
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return Block({"type": "text", "text": ""}, {"type": "text", "text": "".join(texts)}, deltas)


def cited_text_block(texts: Sequence[str], *, citation: Json) -> Block:
    deltas: list[Json] = [{"type": "citations_delta", "citation": citation}]
    deltas += [{"type": "text_delta", "text": text} for text in texts]
    return Block(
        {"type": "text", "text": "", "citations": []},
        {"type": "text", "text": "".join(texts), "citations": [citation]},
        deltas,
    )


def document_citation(cited_text: str) -> Json:
    return {
        "type": "char_location",
        "cited_text": cited_text,
        "document_index": 0,
        "document_title": "Timetable",
        "file_id": None,
        "start_char_index": 0,
        "end_char_index": len(cited_text),
    }


def search_citation(cited_text: str) -> Json:
    return {
        "type": "web_search_result_location",
        "cited_text": cited_text,
        "encrypted_index": opaque("index", 64),
        "title": "Trams of the world",
        "url": "https://example.com/trams",
    }


def thinking_block(texts: Sequence[str], *, seed: int) -> Block:
    signature = opaque(f"signature{seed}", 180)
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": text} for text in texts]
    deltas.append({"type": "signature_delta", "signature": signature})
    return Block(
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking", "thinking": "".join(texts), "signature": signature},
        deltas,
    )


def tool_block(*, kind: str, block_id: str, name: str, arguments: Json) -> Block:
    """A call of the client's tool (`tool_use`) or of the provider's own (`server_tool_use`)."""
    base: Json = {"type": kind, "id": block_id, "name": name}
    text = orjson.dumps(arguments).decode()
    parts = ["", *(text[at : at + 12] for at in range(0, len(text), 12))]
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
    return Block({**base, "input": {}}, {**base, "input": arguments}, deltas)


def whole_block(block: Json) -> Block:
    """A block that arrives at once: a result of the provider's own tool, or the seam of a fallback."""
    return Block(block, block)


def search_result_block(*, use_id: str, seed: int) -> Block:
    result = {
        "type": "web_search_result",
        "title": "Trams of the world",
        "url": "https://example.com/trams",
        "encrypted_content": opaque(f"content{seed}", 240),
        "page_age": "October 2, 2026",
    }
    return whole_block({"type": "web_search_tool_result", "tool_use_id": use_id, "content": [result]})


def compaction_block(summary: str) -> Block:
    return Block(
        {"type": "compaction", "content": None},
        {"type": "compaction", "content": summary},
        [{"type": "compaction_delta", "content": summary}],
    )


def fallback_block(*, declined: str, serving: str, category: str) -> Block:
    return whole_block({
        "type": "fallback",
        "from": {"model": declined},
        "to": {"model": serving},
        "trigger": {"type": "refusal", "category": category},
    })  # fmt: skip


def arguments_for(schema: Mapping[str, Any] | None) -> Json:
    """Arguments that fit a tool's schema as far as its properties name their types."""
    properties = (schema or {}).get("properties")
    if not isinstance(properties, dict) or not properties:
        return {"location": "Lisbon, Portugal", "unit": "celsius"}
    return {str(name): _sample(rule) for name, rule in properties.items()}


def _sample(rule: Any) -> Any:
    if not isinstance(rule, dict):
        return "Lisbon"
    if isinstance(rule.get("enum"), list) and rule["enum"]:
        return rule["enum"][0]
    samples: Json = {"integer": 7, "number": 7.5, "boolean": True, "array": [], "object": {}, "null": None}
    kind = rule.get("type")
    return samples.get(kind, "Lisbon") if isinstance(kind, str) else "Lisbon"


def opaque(seed: str, length: int) -> str:
    """Letters that look like something signed or encrypted, and are neither."""
    number, letters = crc32(seed.encode()), []
    for _ in range(length):
        number = (number * 1_103_515_245 + 12_345) % 2**31
        letters.append("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[number >> 25])
    return "".join(letters)
