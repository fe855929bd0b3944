"""What follows from a request's head alone: found out once, and kept for as long as a client sends the same head."""

from typing import Final, NamedTuple

from gateway.headers import Header
from gateway.routing.types import Target
from gateway.usage.event import CallFacts

_SESSION: Final = b"x-claude-code-session-id"


class Described(NamedTuple):
    """What a call's event says of it, as whose it is admitted, and what its client may be told."""

    made_of: tuple[object, ...]
    facts: CallFacts
    report: bytes
    people: str
    may_see_balance: bool


class HeadFacts:
    """Filled in by whoever finds something out; nothing in it outlives the head's bytes.

    `credential` is the digest of the credential, `upstream` the head that goes to `target`, `described` is of the last
    call.
    """

    __slots__ = ("credential", "described", "sessions", "target", "upstream")

    def __init__(self) -> None:
        self.credential = b""
        self.sessions: list[Header] | None = None
        self.target: Target | None = None
        self.upstream = b""
        self.described: Described | None = None

    def sessions_in(self, headers: list[Header]) -> list[Header]:
        """The header by which a client names its conversation, if it does."""
        if self.sessions is None:
            self.sessions = [header for header in headers if header[0] == _SESSION]
        return self.sessions
