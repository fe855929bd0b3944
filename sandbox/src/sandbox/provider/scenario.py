"""What a test asks of the provider: `name+name;param=value;param=value`."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from sandbox.provider.errors import ERROR_TYPES, STATUS_OF, ApiError

HEADERS = ("sandbox-scenario", "x-sandbox-scenario", "anthropic-sandbox-scenario", "openai-sandbox-scenario")

_PRESETS: Mapping[str, Mapping[str, int]] = {
    "cache": {"cache_5m": 1000, "cache_1h": 500, "cache_read": 2000},
    "fast": {"delay_ms": 0},
    "multi-delta": {"message_deltas": 3},
    "pings": {"ping_every": 1},
    "server-tools": {"web_search_requests": 1},
    "slow": {"first_byte_ms": 1500, "delay_ms": 100},
}
_PLAIN = frozenset({
    "text", "thinking", "tools", "citations", "unicode", "unknown",
    "iterations", "compaction", "advisor", "fallback",
    "refusal", "refusal-midstream", "error", "truncate", "eof", "hang",
})  # fmt: skip
STATUSES = frozenset(str(status) for status in ERROR_TYPES)
NAMES = _PLAIN | frozenset(_PRESETS) | STATUSES


class Scenario(BaseModel):
    """The behaviour asked for; every parameter has the value of an ordinary answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: frozenset[str] = frozenset()

    input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt | None = None
    thinking_tokens: NonNegativeInt | None = None
    cache_5m: NonNegativeInt = 0
    cache_1h: NonNegativeInt = 0
    cache_read: NonNegativeInt = 0
    web_search_requests: NonNegativeInt = 0
    web_fetch_requests: NonNegativeInt = 0
    code_execution_requests: NonNegativeInt = 0
    tool_calls: PositiveInt = 1
    service_tier: Literal["standard", "priority", "batch"] = "standard"
    served_model: str = ""
    other_model: str = "claude-haiku-4-5"
    category: str = "cyber"

    delay_ms: NonNegativeInt | None = None
    first_byte_ms: NonNegativeInt = 0
    tokens_per_delta: PositiveInt | None = None
    message_deltas: PositiveInt = 1
    ping_every: NonNegativeInt = 0
    chunk: NonNegativeInt = 0
    after: NonNegativeInt | None = Field(
        default=None, description="events sent before the fault; half of them if unset"
    )

    error_type: str = "overloaded_error"
    retry_after: int | None = 1
    message: str = ""

    @property
    def pace_s(self) -> float:
        if self.delay_ms is not None:
            return self.delay_ms / 1000
        return 0.0 if self.chunk else 0.015

    def has(self, *names: str) -> bool:
        return not self.names.isdisjoint(names)

    def refusal(self) -> ApiError | None:
        """The error that answers the call instead of a message, if one was asked for."""
        for name in self.names & STATUSES:
            return ApiError(int(name), self.message, headers=self._retry_headers(int(name)))
        return None

    def stream_error(self) -> ApiError:
        """The error that breaks a message off; a call that is not streamed is answered with it."""
        status = STATUS_OF[self.error_type]
        return ApiError(status, self.message, headers=self._retry_headers(status))

    def _retry_headers(self, status: int) -> dict[str, str]:
        if status != 429 or self.retry_after is None:
            return {}
        return {"retry-after": str(self.retry_after)}


def scenario_of(headers: Mapping[str, str], *, suffix: str) -> Scenario:
    """Join what the model's suffix and the headers ask for; the later word on a parameter wins."""
    return parse(";".join(filter(None, (suffix, *(headers.get(name, "") for name in HEADERS)))))


@lru_cache(maxsize=256)
def parse(text: str) -> Scenario:
    names: set[str] = set()
    params: dict[str, str | int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, given, value = part.partition("=")
        if given:
            params[name.strip()] = None if value.strip() == "none" else value.strip()
        else:
            names.update(word.strip() for word in part.split("+"))
    return _checked(names, params)


def _checked(names: set[str], params: Mapping[str, str | int | None]) -> Scenario:
    if unknown := sorted(names - NAMES):
        raise ApiError(400, f"sandbox scenario: unknown name '{unknown[0]}', known are {', '.join(sorted(NAMES))}")
    preset: dict[str, str | int | None] = {}
    for name in sorted(names):
        preset.update(_PRESETS.get(name, {}))
    try:
        scenario = Scenario.model_validate({**preset, **params, "names": frozenset(names)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ApiError(400, f"sandbox scenario: {first['loc'][0]}: {first['msg']}") from error
    if scenario.error_type not in STATUS_OF:
        raise ApiError(400, f"sandbox scenario: error_type: one of {', '.join(STATUS_OF)}")
    return scenario
