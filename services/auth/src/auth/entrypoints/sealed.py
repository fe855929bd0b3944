"""Words that travel through a browser and back: sealed, for that browser only, and for a while."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

from auth.adapters.sealing import WrongKeyError
from auth.entrypoints.parts import Parts
from auth.errors import LinkUsedError

Purpose = Literal["outside-sign-in", "arrival", "password-sign-in", "authenticator"]

LASTS: Final = timedelta(minutes=10)
_MOST_CHARS: Final = 4096
_OVER: Final = "This was begun too long ago, or in another browser; begin again."


def seal(parts: Parts, words: Mapping[str, str], *, purpose: Purpose, browser_secret: str) -> str:
    until = (parts.clock.now() + LASTS).timestamp()
    plain = json.dumps({"words": dict(words), "until": until}).encode()
    sealed = parts.pending.seal(plain, name=f"{purpose} {browser_secret}")
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(parts: Parts, sealed: str, *, purpose: Purpose, browser_secret: str) -> dict[str, str]:
    """Raises `LinkUsedError` for what is too old, for another purpose, or of another browser."""
    try:
        raw = base64.urlsafe_b64decode(sealed[:_MOST_CHARS] + "=" * (-len(sealed) % 4))
        opened = json.loads(parts.pending.open(raw, name=f"{purpose} {browser_secret}"))
    except (binascii.Error, ValueError, WrongKeyError):
        raise LinkUsedError(_OVER) from None
    if opened["until"] <= parts.clock.now().timestamp():
        raise LinkUsedError(_OVER)
    words: dict[str, str] = opened["words"]
    return words
