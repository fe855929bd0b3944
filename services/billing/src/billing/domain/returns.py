"""Where a buyer may be sent after paying: our own pages, or a program on the buyer's own machine."""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from billing.errors import ReturnAddressError

SESSION_PLACEHOLDER: Final = "{CHECKOUT_SESSION_ID}"
"""Stripe replaces it in the success address."""


@dataclass(frozen=True, slots=True)
class ReturnPages:
    """The pages of one public origin."""

    public_url: str

    @property
    def success(self) -> str:
        return f"{self.public_url}/billing/success?session_id={SESSION_PLACEHOLDER}"

    @property
    def cancelled(self) -> str:
        return f"{self.public_url}/billing/cancelled"

    def checked(self, url: str | None, *, field: str, default: str) -> str:
        """The address, or the default; raises `ReturnAddressError` for one that leads elsewhere."""
        if url is None:
            return default
        try:
            parts = urlsplit(url)
            allowed = _is_plain(parts) and (_origin(parts) == _origin(urlsplit(self.public_url)) or _is_loopback(parts))
        except ValueError:
            allowed = False
        if not allowed:
            raise ReturnAddressError(
                f"{field} must be an http(s) address on {self.public_url} or on the buyer's own machine.", field=field
            )
        return url


def _is_plain(parts: SplitResult) -> bool:
    """A backslash or a user part makes browsers and parsers disagree about the host."""
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "\\" not in parts.geturl()
    )


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _is_loopback(parts: SplitResult) -> bool:
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
