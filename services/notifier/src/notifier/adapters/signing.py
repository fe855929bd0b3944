"""Standard Webhooks: secrets, and the headers that prove who sent a request and when."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

_SECRET_BYTES: Final = 32


def new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


def signed_headers(keys: Sequence[str], *, message_id: str, content: str, now: datetime) -> Mapping[str, str]:
    """One signature per secret that is valid now, so that receivers can change over in their own time."""
    at = now.astimezone(UTC).replace(microsecond=0)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, at, content) for key in keys),
    }
