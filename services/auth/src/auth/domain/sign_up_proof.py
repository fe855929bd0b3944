"""A small piece of work in place of a captcha: easy for one sign-up, dear for a million."""

import hashlib
from typing import Final, Literal

ProofKind = Literal["off", "siteverify", "proof_of_work"]
WORK_S: Final = 600.0
"""How long a challenge may be worked on."""
SOLUTION_CHARS: Final = 64


def is_solved(challenge: str, solution: str, *, bits: int) -> bool:
    """Whether SHA-256 of `challenge.solution` begins with so many zero bits."""
    digest = hashlib.sha256(f"{challenge}.{solution}".encode()).digest()
    return int.from_bytes(digest, "big") >> (256 - bits) == 0
