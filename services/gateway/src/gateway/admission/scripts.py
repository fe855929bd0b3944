"""The Lua scripts, read out of the package."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal
from uuid import UUID

Prelude = Literal["account", "hints"]


@dataclass(frozen=True, slots=True)
class Script:
    """A script's whole text and the digest under which Redis keeps it."""

    name: str
    body: str
    sha: str


def load_script(name: str, *, prelude: Prelude) -> Script:
    folder = resources.files("gateway.admission").joinpath("scripts")
    body = "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in (prelude, name))
    return Script(name, body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())


class AccountScripts:
    """The scripts on one account."""

    def __init__(self) -> None:
        self.admit: Final = load_script("admit", prelude="account")
        self.settle: Final = load_script("settle", prelude="account")
        self.keep: Final = load_script("keep", prelude="account")
        self.apply: Final = load_script("apply", prelude="account")
        self.sweep: Final = load_script("sweep", prelude="account")


class HintScripts:
    """The scripts on one shard of hints."""

    def __init__(self) -> None:
        self.hint: Final = load_script("hint", prelude="hints")
        self.claim: Final = load_script("claim", prelude="hints")
        self.visited: Final = load_script("visited", prelude="hints")


def account_keys(account_id: UUID) -> tuple[str, ...]:
    """All keys of an account; one hash tag, so that they share a slot of Redis Cluster."""
    tag = f"{{{account_id}}}"
    return (f"{tag}:state", f"{tag}:slices", calls_key(account_id), f"{tag}:used", f"{tag}:confirmed")


def calls_key(account_id: UUID) -> str:
    return f"{{{account_id}}}:calls"
