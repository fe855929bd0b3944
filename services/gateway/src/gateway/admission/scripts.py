"""The Lua scripts, read out of the package, and how commands that run them are written."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final
from uuid import UUID

from hiredis import pack_command

ACCOUNT_KEYS: Final = ("state", "calls", "used", "confirmed", "flight", "budgets")
_CALLS: Final = 1
_HEX: Final = 32
_PACKED_WORDS: Final = 4
_MOST_HEADS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Script:
    """A script's whole text and the digest under which Redis keeps it."""

    name: str
    body: str
    sha: str

    def whole(self, command: bytes) -> bytes:
        """The same command with the script's text, for a server that does not know it."""
        sha, body = self.sha.encode(), self.body.encode()
        words, _, rest = command.partition(b"\r\n")
        return b"%b\r\n$4\r\nEVAL\r\n%b%b" % (words, _word(body), rest[rest.index(sha) + len(sha) + 2 :])


def load_script(name: str, *preludes: str) -> Script:
    folder = resources.files("gateway.admission").joinpath("scripts")
    body = "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in (*preludes, name))
    return Script(name, body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())


class AccountScripts:
    """The scripts on one account."""

    def __init__(self) -> None:
        self.admit: Final = load_script("admit", "account", "paying", "room", "buckets", "checks")
        self.settle: Final = load_script("settle", "account", "paying", "buckets", "correcting")
        self.extend: Final = load_script(
            "extend", "account", "entries", "paying", "room", "buckets", "correcting", "checks"
        )
        self.keep: Final = load_script("keep", "account", "entries")
        self.release: Final = load_script("release", "account", "entries", "buckets", "correcting", "confirming")
        self.apply: Final = load_script("apply", "account", "entries", "confirming")
        self.sweep: Final = load_script("sweep", "account", "entries")
        self.terms: Final = load_script("terms", "account")
        self.standing: Final = load_script("standing", "account", "entries", "paying", "room", "buckets")


class HintScripts:
    """The scripts on one shard of hints."""

    def __init__(self) -> None:
        self.hint: Final = load_script("hint", "hints")
        self.claim: Final = load_script("claim", "hints")
        self.visited: Final = load_script("visited", "hints")


class Command:
    """A script on one account with one packed word and one opaque one: all but those is written once per account."""

    __slots__ = ("_heads", "_template")

    def __init__(self, script: Script, *, run_id: str, offset_ms: int) -> None:
        keys = len(ACCOUNT_KEYS)
        head = b"*%d\r\n" % (3 + keys + _PACKED_WORDS) + _word(b"EVALSHA") + _word(script.sha.encode())
        template = head + _word(b"%d" % keys)
        for key in ACCOUNT_KEYS:
            template += b"$%d\r\n{%%b}:%b\r\n" % (_HEX + 3 + len(key), key.encode())
        run = _word(run_id.encode()).replace(b"%", b"%%")
        self._template = template + run + _word(b"%d" % offset_ms)
        self._heads: dict[int, bytes] = {}

    def written(self, account_id: UUID, packed: str, report: bytes) -> bytes:
        head, word = self._heads.get(account_id.int) or self._head(account_id), packed.encode()
        return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (head, len(word), word, len(report), report)

    def _head(self, account_id: UUID) -> bytes:
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        a = b"%032x" % account_id.int
        head = self._heads[account_id.int] = self._template % (a, a, a, a, a, a)
        return head


def written(script: Script, keys: tuple[str, ...], *arguments: str | bytes | int) -> bytes:
    """A command that runs a script."""
    return packed("EVALSHA", script.sha, len(keys), *keys, *arguments)


def packed(*words: str | bytes | int) -> bytes:
    """A command as Redis reads it."""
    command: bytes = pack_command(words)  # type: ignore[arg-type]  # the stub means any number of words
    return command


def account_keys(account_id: UUID) -> tuple[str, ...]:
    """All keys of an account; one hash tag, so that they share a slot of Redis Cluster."""
    return tuple(f"{{{account_id.hex}}}:{key}" for key in ACCOUNT_KEYS)


def calls_key(account_id: UUID) -> str:
    return account_keys(account_id)[_CALLS]


def _word(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)
