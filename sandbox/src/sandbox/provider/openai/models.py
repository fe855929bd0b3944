"""The models that the OpenAI-compatible half knows: two of its own, and all of the other half's."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.provider.models import MODELS
from sandbox.provider.openai.errors import OpenAIError

EMBEDDING = "sandbox-embedding"


@dataclass(frozen=True, slots=True)
class Known:
    id: str
    owned_by: str
    released: str
    most_output_tokens: int = 128_000

    def entry(self) -> dict[str, Any]:
        created = int(datetime.fromisoformat(self.released).replace(tzinfo=UTC).timestamp())
        return {"id": self.id, "object": "model", "created": created, "owned_by": self.owned_by}


_KNOWN = {
    one.id: one
    for one in (
        Known("sandbox-gpt", "sandbox", "2026-11-21"),
        Known(EMBEDDING, "sandbox", "2026-11-21"),
        *(Known(model.id, "anthropic", model.released, model.max_output_tokens) for model in MODELS.values()),
    )
}


def known(name: str) -> Known:
    model = _KNOWN.get(name)
    if model is None:
        raise OpenAIError(404, f"The model `{name}` does not exist or you do not have access to it.", param="model")
    return model


def list_of_models() -> dict[str, Any]:
    return {"object": "list", "data": [model.entry() for model in _KNOWN.values()]}
