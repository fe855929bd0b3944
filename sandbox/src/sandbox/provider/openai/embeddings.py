"""`POST /v1/embeddings`: the same text gets the same vector, of length one."""

import base64
import math
import struct
from zlib import crc32

from pydantic_core import to_json

from sandbox.provider.blocks import Json
from sandbox.provider.openai.request import EmbeddingsBody

_DIMENSIONS = 256


def embeddings(body: EmbeddingsBody, *, model: str, input_tokens: int | None) -> Json:
    inputs = _inputs(body)
    dimensions = body.dimensions or _DIMENSIONS
    tokens = sum(map(_tokens, inputs)) if input_tokens is None else input_tokens
    vectors = (_vector(one, dimensions=dimensions) for one in inputs)
    encoded = (_base64(vector) if body.encoding_format == "base64" else vector for vector in vectors)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(encoded)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _inputs(body: EmbeddingsBody) -> list[str | list[int]]:
    """One text or list of tokens is one input; a list of either are several."""
    given = body.input
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [[token for token in given if isinstance(token, int)]]
    return [one for one in given if not isinstance(one, int)]


def _tokens(one: str | list[int]) -> int:
    return max(1, len(one.encode()) // 4) if isinstance(one, str) else len(one)


def _vector(one: str | list[int], *, dimensions: int) -> list[float]:
    seed = crc32(to_json(one))
    raw = [(crc32(at.to_bytes(4, "big"), seed) & 0xFFFF) / 0x8000 - 1 for at in range(dimensions)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [value / length for value in raw]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
