"""The form of an API key: a prefix that scanners know, 32 random characters, a checksum that finds typing errors."""

import hashlib
import re
import secrets
import string
import zlib
from typing import Final, Literal

Mode = Literal["live", "test", "session"]
"""`session` is for what a client that cannot refresh gets in place of tokens."""

SESSION_PREFIX: Final = "fg_session_"
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARS: Final = 32
_CHECKSUM_CHARS: Final = 6
_SHAPE: Final = re.compile(r"fg_(?:live|test|session)_[0-9A-Za-z]{38}", re.ASCII)


def make(mode: Mode) -> str:
    """A new key: `fg_live_`, `fg_test_` or `fg_session_`, 190 random bits, and the CRC32 of all that, in base 62."""
    body = f"fg_{mode}_" + "".join(secrets.choice(ALPHABET) for _ in range(_RANDOM_CHARS))
    return body + checksum(body)


def well_formed(key: str) -> bool:
    """Whether this can be one of our keys; says nothing about whether it exists."""
    if _SHAPE.fullmatch(key) is None:
        return False
    return checksum(key[:-_CHECKSUM_CHARS]) == key[-_CHECKSUM_CHARS:]


def sha256_hex(key: str) -> str:
    """What is kept in place of the key; its entropy needs no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def checksum(body: str) -> str:
    """CRC32 in six base-62 characters, padded with zeros."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_CHARS):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
