"""What this half takes and what it refuses."""

from typing import Annotated, Any, Literal, TypeVar
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from sandbox.provider.openai.errors import OpenAIError
from sandbox.provider.request import Prompt

_ModelName = Annotated[str, Field(min_length=1, max_length=256)]
_Tokens = Annotated[int, Field(ge=1)]


class Body(BaseModel):
    """What every body has; a field that the provider does not know is refused, as the provider does."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: _ModelName
    user: str | None = None


class _Shared(Body):
    """What both ways of asking a model take without minding it."""

    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: int | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, Any] | None = None
    moderation: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None


class _StreamOptions(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatBody(_Shared):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stream_options: _StreamOptions | None = None
    reasoning_effort: str | None = None
    audio: Any = None
    frequency_penalty: float | None = None
    function_call: Any = None
    functions: Any = None
    logit_bias: Any = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    prediction: Any = None
    presence_penalty: float | None = None
    response_format: Any = None
    seed: int | None = None
    stop: Any = None
    verbosity: str | None = None
    web_search_options: Any = None


class ResponsesBody(_Shared):
    """The body of `POST /v1/responses`."""

    input: str | list[dict[str, Any]] | None = None
    instructions: Any = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    reasoning: dict[str, Any] | None = None
    stream_options: _StreamOptions | None = None
    access_programs: Any = None
    background: bool | None = None
    background_options: Any = None
    context_management: Any = None
    conversation: Any = None
    image: Any = None
    include: list[str] | None = None
    max_tool_calls: int | None = None
    previous_response_id: str | None = None
    prompt: Any = None
    text: Any = None
    truncation: str | None = None


class EmbeddingsBody(Body):
    """The body of `POST /v1/embeddings`."""

    input: str | list[str] | list[int] | list[list[int]]
    dimensions: Annotated[int, Field(ge=1, le=3072)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


AnyBody = TypeVar("AnyBody", bound=Body)


def parse(raw: bytes, *, shape: type[AnyBody]) -> AnyBody:
    """Decode and check a body."""
    try:
        return shape.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise OpenAIError(400, f"Unrecognized request argument supplied: {place}", param=place) from error
        raise OpenAIError(
            400, f"{place}: {first['msg']}" if place else str(first["msg"]), param=place or None
        ) from error


def prompt_of(*parts: object) -> Prompt:
    """Seed and size from what decides an answer."""
    words = to_json(list(parts))
    return Prompt(seed=crc32(words), input_tokens=max(1, len(words) // 4))
