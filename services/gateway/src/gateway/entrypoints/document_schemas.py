"""Shapes for the OpenAPI description of the model API: what decides the price; the vendors document the rest."""

from typing import Any, Final

Shape = dict[str, Any]

_FACTS: Final[Shape] = {
    "balance": {"type": "string", "description": "credits left; with 402 only, to those who may read it"},
    "required": {"type": "string", "description": "credits that the call may need; with 402 only"},
    "resets_at": {"type": "string", "format": "date-time", "description": "when the limit or allowance is anew"},
    "upgrade_url": {"type": "string", "format": "uri"},
    "details": {
        "type": "object",
        "properties": {"error_code": {"type": "string"}, "limit": {"type": "string"}},
        "description": "the same facts for programs, with the limit's name",
    },
}
ANTHROPIC_ERROR: Final[Shape] = {
    "type": "object",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}, **_FACTS},
        },
        "request_id": {"type": "string"},
    },
}
OPENAI_ERROR: Final[Shape] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
                **_FACTS,
            },
        },
        "request_id": {"type": "string"},
    },
}
MODEL: Final[Shape] = {"type": "string", "minLength": 1, "maxLength": 256}
_TOKENS: Final[Shape] = {"type": "integer", "minimum": 0, "maximum": 1_000_000_000}
_MESSAGES: Final[Shape] = {"type": "array", "items": {"type": "object"}}
_STREAM: Final[Shape] = {"type": "boolean", "default": False}
_TEXT: Final[Shape] = {"type": "string"}


def body_of(required: tuple[str, ...], properties: Shape, *, is_open: bool = True) -> Shape:
    """A request body; an open one is passed on byte for byte."""
    schema: Shape = {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": is_open,
    }
    if is_open:
        schema["description"] = "As the provider documents it; what is not named here passes untouched."
    return schema


COUNT: Final = body_of(("model", "messages"), {"model": MODEL, "messages": _MESSAGES})
MESSAGES: Final = body_of(
    ("model", "max_tokens", "messages"),
    {"model": MODEL, "messages": _MESSAGES, "max_tokens": _TOKENS, "stream": _STREAM},
)
CHAT: Final = body_of(
    ("model", "messages"),
    {
        "model": MODEL,
        "messages": _MESSAGES,
        "max_completion_tokens": _TOKENS,
        "max_tokens": {**_TOKENS, "deprecated": True},
        "n": {"type": "integer", "minimum": 1, "maximum": 128, "default": 1},
        "stream": _STREAM,
        "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
    },
)
RESPONSES: Final = body_of(
    ("model", "input"),
    {
        "model": MODEL,
        "input": {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}]},
        "max_output_tokens": _TOKENS,
        "stream": _STREAM,
    },
)
EMBEDDINGS: Final = body_of(
    ("model", "input"), {"model": MODEL, "input": {"anyOf": [_TEXT, {"type": "array", "minItems": 1}]}}
)
CLAUDE_STREAM: Final = body_of(
    ("messages",),
    {
        "messages": _MESSAGES,
        "image": {"type": "string", "description": "base64, or a data URL: goes into the user's last message"},
        "model": {**MODEL, "type": ["string", "null"], "default": "fast"},
        "max_tokens": {**_TOKENS, "type": ["integer", "null"], "default": 1024},
    },
)
INVOKE: Final = body_of(
    (),
    {
        "prompt": {"type": "string", "minLength": 1, "description": "instead of messages"},
        "messages": _MESSAGES,
        "model": {**MODEL, "type": ["string", "null"], "default": "fast"},
        "max_tokens": {**_TOKENS, "type": ["integer", "null"], "default": 1024},
    },
)
GENERATE: Final = body_of(
    ("prompt",),
    {
        "prompt": {"type": "string", "minLength": 1},
        "model": {**MODEL, "type": ["string", "null"], "default": "fast"},
        "max_tokens": {**_TOKENS, "type": ["integer", "null"], "default": 1024},
    },
    is_open=False,
)
ANSWER: Final[Shape] = {"type": "object", "description": "As the provider answered, byte for byte."}
_TOKENS_USED: Final[Shape] = {
    "type": "object",
    "properties": {
        name: {"type": "integer"}
        for name in (
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "output_tokens",
            "total_tokens",
        )
    },
}


def alias_answer(text: str) -> Shape:
    """What the older clients get: the text under that name, what was counted, what it cost."""
    members: Shape = {
        "id": {"type": ["string", "null"]},
        "model": {"type": ["string", "null"]},
        text: {"type": "string"},
        "stop_reason": {"type": ["string", "null"]},
        "usage": _TOKENS_USED,
        "charge": {"type": "string", "description": "credits"},
        "balance": {"type": ["string", "null"], "description": "credits, to those who may read it"},
    }
    return {"type": "object", "required": list(members), "properties": members}


MODEL_ENTRY: Final[Shape] = {
    "type": "object",
    "required": ["id", "type", "object", "display_name", "created_at", "created", "owned_by", "lifecycle"],
    "properties": {
        "id": {"type": "string"},
        "type": {"const": "model"},
        "object": {"const": "model"},
        "display_name": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "lifecycle": {"enum": ["active", "deprecated", "retired"]},
        "max_input_tokens": {"type": "integer"},
        "max_tokens": {"type": "integer"},
    },
}
MODEL_LIST: Final[Shape] = {
    "type": "object",
    "required": ["data", "object"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": MODEL_ENTRY},
        "has_more": {"type": "boolean"},
        "first_id": {"type": ["string", "null"]},
        "last_id": {"type": ["string", "null"]},
    },
}
