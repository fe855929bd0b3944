class RatingError(Exception):
    """What the price book cannot answer; nothing is ever priced at zero instead."""


class UnpricedModelError(RatingError):
    """The book has no price for the model at that instant: it cannot be sold."""

    def __init__(self, model: str) -> None:
        super().__init__(f"the price book has no price for model {model!r}")
        self.model = model


class UnpricedOptionError(RatingError):
    """The model is priced, but not with this speed, geography, tier or tool."""

    def __init__(self, model: str, *, option: str, value: str) -> None:
        super().__init__(f"the price book has no price for model {model!r} with {option} {value!r}")
        self.model = model
        self.option = option
        self.value = value


class UnpricedOperationError(RatingError):
    """The book has no price for a customer's own operation: it is not sold."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the price book has no price for operation {name!r}")
        self.name = name


class QuantityError(RatingError, ValueError):
    """A count that is not an integer between zero and the bound."""

    def __init__(self, name: str, quantity: object) -> None:
        super().__init__(f"{name} must be an integer from 0 to the bound, not {quantity!r}")
        self.name = name


class PriceBookError(RatingError, ValueError):
    """The text of a price book is not one; the message names each field and the reason."""
