"""Who may ask, and in which dialect."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping

from sandbox.stripe import API_VERSION
from sandbox.stripe.errors import KeyRefusedError, NotDoneError, ParameterError

VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")


def check_headers(headers: Mapping[str, str], *, secret_key: str) -> None:
    _check_key(headers.get("authorization", ""), secret_key=secret_key)
    _check_version(headers.get("stripe-version", API_VERSION))
    for name in ("stripe-account", "stripe-context"):
        if name in headers:
            raise NotDoneError(f"connected accounts (the header {name})")


def _check_key(header: str, *, secret_key: str) -> None:
    key = _presented_key(header)
    if key is None:
        message = "You did not provide an API key. Send it as a bearer token or as the user name of basic auth."
        raise KeyRefusedError(message)
    if not hmac.compare_digest(key.encode(), secret_key.encode()):
        raise KeyRefusedError(f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:] if len(key) > 16 else ''}")


def _presented_key(header: str) -> str | None:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return rest.strip()
    if scheme.lower() != "basic":
        return None
    try:
        user = base64.b64decode(rest, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user or None


def _check_version(version: str) -> None:
    if not VERSION.fullmatch(version):
        raise ParameterError(f"Invalid Stripe API version: {version}")
    if version != API_VERSION:
        raise NotDoneError(f"API version {version}, only {API_VERSION}")
