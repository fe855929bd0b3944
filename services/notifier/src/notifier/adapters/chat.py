"""Slack, Discord and Teams through their incoming webhooks; Apprise knows what each of them wants to read."""

import asyncio
import logging
import re
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from apprise import AppriseAsset, NotifyType
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.slack import NotifySlack
from apprise.plugins.workflows import NotifyWorkflows

from notifier.errors import AddressForbiddenError, TemporaryError

_PLUGINS: Final[MappingProxyType[str, Any]] = MappingProxyType(
    {"slack": NotifySlack, "discord": NotifyDiscord, "teams": NotifyWorkflows}
)
# A chat's webhook is at its own host: nothing else is ever asked, whatever the URL says.
_HOSTS: Final = MappingProxyType(
    {
        "slack": re.compile(r"hooks\.slack\.com"),
        "discord": re.compile(r"discord(?:app)?\.com"),
        "teams": re.compile(r"(?:[a-z0-9-]+\.)+(?:logic\.azure\.com|api\.powerplatform\.com)"),
    }
)
_STATUS: Final = re.compile(r"error=(\d{3})")
_TIMEOUT_S: Final = 10.0


class Chats:
    """Tells chats. A plugin works in a thread and says only whether it worked: the status comes from what it logs."""

    def __init__(self, *, product: str) -> None:
        # What is wrong with a URL is said here by its name; the library would log parts of it.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._asset = AppriseAsset(app_id=product, app_desc=product, app_url="", image_url_mask="", image_url_logo="")

    def check(self, service: str, url: str) -> None:
        """Raises `AddressForbiddenError` for what is no incoming webhook of this service."""
        self._plugin(service, url, heard=[])

    async def post(self, service: str, url: str, *, title: str, text: str) -> None:
        """Raises `TemporaryError`, whose reason never holds the URL."""
        heard: list[str] = []
        plugin = self._plugin(service, url, heard=heard)
        told = await asyncio.to_thread(plugin.notify, title=title, body=text, notify_type=NotifyType.INFO)
        if not told:
            status = next((found.group(1) for line in heard if (found := _STATUS.search(line))), None)
            reason = f"answered {status}" if status else "does not answer"
            raise TemporaryError(f"{service} {reason}")

    def _plugin(self, service: str, url: str, *, heard: list[str]) -> Any:
        parts = urlsplit(url)
        if parts.scheme != "https" or not _HOSTS[service].fullmatch(parts.hostname or ""):
            raise AddressForbiddenError(f"is not an incoming webhook of {service}")
        read = _PLUGINS[service].parse_native_url(url)
        if not read:
            raise AddressForbiddenError(f"is not an incoming webhook of {service}")
        try:
            plugin = _PLUGINS[service](**{**read, "include_image": False}, asset=self._asset)
        except TypeError:
            raise AddressForbiddenError(f"is not an incoming webhook of {service}") from None
        plugin.redirects = plugin.include_footer = plugin.avatar = False
        plugin.request_rate_per_sec = 0
        plugin.socket_connect_timeout = plugin.socket_read_timeout = _TIMEOUT_S
        plugin.logger = _heard_by(heard)
        return plugin


class _Heard(logging.Handler):
    """Keeps what is said in a list; nothing of it is logged, for it holds the URL."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())


def _heard_by(heard: list[str]) -> logging.Logger:
    logger = logging.Logger("apprise", logging.WARNING)  # noqa: LOG001  # of one message, so that no two mix
    for method in ("trace", "deprecate"):
        setattr(logger, method, logger.debug)
    logger.addHandler(_Heard(heard))
    return logger
