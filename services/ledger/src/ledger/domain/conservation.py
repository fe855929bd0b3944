from typing import NamedTuple


class Books(NamedTuple):
    """What a check of the books found."""

    sums: dict[str, int]
    accounts: int
    differences: list[str]

    @property
    def balanced(self) -> bool:
        return not self.differences and not any(self.sums.values())
