"""Waiting longer after each failure, with jitter, so that many clients do not return at once."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Full-jitter exponential delays between `first_s` and `most_s`."""

    first_s: float = 0.1
    most_s: float = 10.0
    failures: int = 0

    def next_s(self) -> float:
        ceiling: float = min(self.most_s, self.first_s * 2 ** min(self.failures, 30))
        self.failures += 1
        return ceiling / 2 + random.random() * ceiling / 2  # noqa: S311  # jitter is not cryptography

    def reset(self) -> None:
        self.failures = 0
