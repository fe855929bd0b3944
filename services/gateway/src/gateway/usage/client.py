"""What called, as its headers say: kept short and printable, because it is the client's own word."""

import re
from collections.abc import Iterable
from typing import Final

import orjson

from contracts.gateway import ClientInfo

_NAMES: Final = {
    b"user-agent": 0,
    b"x-stainless-lang": 1,
    b"x-stainless-package-version": 2,
    b"x-claude-code-session-id": 3,
    b"x-claude-code-agent-id": 4,
    b"x-claude-code-parent-agent-id": 5,
}
# `Anthropic/Python 2.11.0`, `claude-cli/2.0.1 (external, cli)`, `python-httpx/0.28.1`.
_AGENT: Final = re.compile(rb"([A-Za-z][A-Za-z0-9_.+-]*(?:/[A-Za-z][A-Za-z0-9_.+-]*)?)[/ ]v?([0-9][0-9A-Za-z_.+-]*)")
_MOST_SDK: Final = 64
_MOST_VERSION: Final = 32
_MOST_ID: Final = 128
_MOST_REMEMBERED: Final = 4096

NO_CLIENT: Final = b"null"


class ClientParts:
    """The `client` of usage events as JSON; a client that calls again costs a look-up."""

    def __init__(self) -> None:
        self._made: dict[tuple[bytes | None, ...], bytes] = {}

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """From lower-case names and their values."""
        words: list[bytes | None] = [None, None, None, None, None, None]
        for name, value in headers:
            place = _NAMES.get(name)
            if place is not None:
                words[place] = value
        key = tuple(words)
        made = self._made.get(key)
        return self._remember(key) if made is None else made

    def _remember(self, key: tuple[bytes | None, ...]) -> bytes:
        if len(self._made) >= _MOST_REMEMBERED:
            self._made.clear()
        info = client_info(*key)
        made = self._made[key] = NO_CLIENT if info is None else orjson.dumps(info.model_dump(mode="json"))
        return made


def client_info(  # noqa: PLR0917  # in the order of the headers' table
    agent: bytes | None = None,
    language: bytes | None = None,
    version: bytes | None = None,
    session: bytes | None = None,
    agent_id: bytes | None = None,
    parent: bytes | None = None,
) -> ClientInfo | None:
    """None when the headers say nothing that can be kept."""
    found = _AGENT.match(agent or b"")
    sdk = found[1] if found else language
    info = ClientInfo(
        sdk=_kept(sdk, _MOST_SDK),
        sdk_version=_kept(version or (found[2] if found else None), _MOST_VERSION),
        session_id=_kept(session, _MOST_ID),
        agent_id=_kept(agent_id, _MOST_ID),
        parent_agent_id=_kept(parent, _MOST_ID),
    )
    return None if info == ClientInfo() else info


def _kept(word: bytes | None, most: int) -> str | None:
    if not word or len(word) > most:
        return None
    text = word.decode("latin-1")
    return text if text.isascii() and text.isprintable() else None
