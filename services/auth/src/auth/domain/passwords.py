"""Which passwords are refused: short ones, one's own address, the most common ones. There are no composition rules."""

import unicodedata
from functools import cache
from importlib import resources
from itertools import product
from typing import Final

SHORTEST: Final = 8
LONGEST: Final = 256

_WORDS: Final = (
    "password passw0rd p@ssw0rd p@ssword qwerty qwertz azerty letmein welcome admin administrator "
    "iloveyou monkey dragon football baseball basketball sunshine princess superman batman starwars "
    "shadow master michael jennifer computer internet trustno1 whatever freedom secret changeme default "
    "login hello flower summer winter spring autumn faregate "
)
_TAILS: Final = (
    "",
    "1",
    "12",
    "123",
    "1234",
    "12345",
    "123456",
    "!",
    "1!",
    "123!",
    "01",
    "007",
    "69",
    "2024",
    "2025",
    "2026",
)
_WALKS: Final = (
    "1234567890",
    "0987654321",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc",
    "qazwsxedc",
    "abcdefghijkl",
)


@cache
def common_passwords() -> frozenset[str]:
    """The most common passwords in lower case: a list, words with their usual tails, walks over the keyboard."""
    words = {word + tail for word, tail in product(_WORDS.split(), _TAILS)}
    walks = {walk[:length] for walk in _WALKS for length in range(SHORTEST, len(walk) + 1)}
    doubled = {
        part * 2 for part in ("1234", "12345", "qwer", "asdf", "abcd", "abc123", "pass", "love", "test", "q1w2e3")
    }
    made = frozenset(one for one in words | walks | doubled if len(one) >= SHORTEST)
    return made | _listed()


def _listed() -> frozenset[str]:
    lines = resources.files("auth.domain").joinpath("common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("# "))


def normal(password: str) -> str:
    """One form for what keyboards compose differently; nothing is cut off."""
    return unicodedata.normalize("NFC", password)


def weakness(password: str, *, address: str) -> str | None:
    """Why this password is refused, or None."""
    lowered = password.strip().lower()
    if len(set(lowered)) <= 2:
        return "it repeats one or two characters"
    if lowered in (address.lower(), address.lower().partition("@")[0]):
        return "it is the address itself"
    if lowered in common_passwords():
        return "it is one of the most common passwords"
    return None
