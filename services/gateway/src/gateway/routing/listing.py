"""What `GET /v1/models` shows: entries that both vendors' SDKs read."""

from datetime import datetime
from typing import Any, Final

from gateway.routing.config import ModelSpec
from gateway.routing.table import Entry
from rating.rates import ModelRates

_EMPTY: Final = ModelSpec()


def listed_model(
    name: str, entry: Entry, *, spec: ModelSpec | None, rates: ModelRates, since: datetime
) -> dict[str, Any]:
    """One entry; `since` stands in for a release date that nobody configured."""
    spec = spec or _EMPTY
    created_at = spec.created_at or since
    shown = spec.display_name or entry.model
    return {
        "type": "model",
        "id": name,
        "display_name": shown if entry.alias is None else f"{name} ({shown})",
        "created_at": created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": spec.lifecycle,
        "max_input_tokens": rates.context_window_tokens,
        "max_tokens": rates.max_output_tokens,
        "object": "model",
        "created": int(created_at.timestamp()),
        "owned_by": spec.owned_by or entry.candidates[0].target.provider,
    }
