from dataclasses import dataclass

from rating.errors import QuantityError

MAX_QUANTITY = 1_000_000_000
"""The most of anything one call may count: far above any model, far below what would overflow an amount."""


def check_quantity(name: str, quantity: object) -> None:
    # bool is an int to isinstance, and None must never pass as nothing used.
    if type(quantity) is not int or not 0 <= quantity <= MAX_QUANTITY:
        raise QuantityError(name, quantity)


# These two are made on every call of the gateway; frozen they cost three times as much. Nobody changes them.
@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class TokenCounts:
    """What one model counted; the classes do not overlap, output includes thinking."""

    input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    web_search_requests: int = 0
    web_fetch_requests: int = 0
    code_execution_requests: int = 0

    def __post_init__(self) -> None:
        # Written out, as it is on the way of every call.
        for quantity in (
            self.input_tokens,
            self.cache_write_5m_tokens,
            self.cache_write_1h_tokens,
            self.cache_read_tokens,
            self.output_tokens,
            self.web_search_requests,
            self.web_fetch_requests,
            self.code_execution_requests,
        ):
            if type(quantity) is not int or not 0 <= quantity <= MAX_QUANTITY:
                self._refuse()

    def _refuse(self) -> None:
        for name in self.__slots__:
            check_quantity(name, getattr(self, name))

    @property
    def tokens(self) -> tuple[int, int, int, int, int]:
        """In the order of `TokenRates`."""
        return (
            self.input_tokens,
            self.cache_write_5m_tokens,
            self.cache_write_1h_tokens,
            self.cache_read_tokens,
            self.output_tokens,
        )

    @property
    def server_tool_requests(self) -> tuple[int, int, int]:
        return self.web_search_requests, self.web_fetch_requests, self.code_execution_requests

    @property
    def prompt_tokens(self) -> int:
        """All that was read: what decides the tier."""
        return self.input_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens + self.cache_read_tokens


@dataclass(frozen=True, slots=True)
class Iteration:
    """Work inside a call that its top-level counts leave out: a compaction, an advisor's message."""

    model: str
    counts: TokenCounts


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Usage:
    """A call's counts as the provider reports them, at the model that served, and how it served."""

    counts: TokenCounts
    iterations: tuple[Iteration, ...] = ()
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    batch: bool = False

    @property
    def is_batch(self) -> bool:
        return self.batch or self.service_tier == "batch"
