"""An OpenAI-compatible provider's usage in the words of the usage event.

Input and cached input do not overlap there; output includes reasoning. Some providers leave reasoning out of
`completion_tokens` but not out of the total, so the total decides where it is larger. What a provider says that the
call cost it is noted nowhere: the price book decides.
"""

from collections.abc import Mapping
from typing import Any, Final

_MOST_COUNT: Final = 1_000_000_000
# How the provider's tiers are priced: all at the standard price, but for what the ledger knows.
_TIERS: Final[Mapping[str, str]] = {"default": "standard", "flex": "standard", "on_demand": "standard"}
_PRICED: Final = frozenset({"standard", "priority", "batch"})


def usage_of(usage: object) -> dict[str, Any] | None:
    """For `UsageSeen.usage`; None when this is no usage."""
    if not isinstance(usage, Mapping):
        return None
    prompt = _either(usage, "prompt_tokens", "input_tokens")
    output = _either(usage, "completion_tokens", "output_tokens")
    if prompt is None and output is None:
        return None
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    cached = _count(details, "cached_tokens")
    if cached is None:
        cached = _count(usage, "prompt_cache_hit_tokens")
    written = _count(details, "cache_write_tokens")
    total = _count(usage, "total_tokens")
    if total is not None and total - (prompt or 0) > (output or 0):
        output = total - (prompt or 0)
    read = min(cached or 0, prompt or 0)
    wrote = min(written or 0, (prompt or 0) - read)
    return {
        "input_tokens": None if prompt is None else prompt - read - wrote,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": wrote,
        "output_tokens": output,
    }


def tier_of(answer: Mapping[str, Any]) -> str | None:
    """The tier that served, as the price book knows it."""
    tier = answer.get("service_tier")
    if type(tier) is not str:
        return None
    tier = _TIERS.get(tier, tier)
    return tier if tier in _PRICED else None


def _either(usage: Mapping[str, Any], name: str, other: str) -> int | None:
    found = _count(usage, name)
    return _count(usage, other) if found is None else found


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and 0 <= value <= _MOST_COUNT else None
