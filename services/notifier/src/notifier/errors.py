"""What can go wrong with a delivery, in its own words; no reason ever holds an address or a link."""


class DeliveryError(Exception):
    """A delivery did not go out. `reason` may be stored, logged and shown to operators."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryError(DeliveryError):
    """Trying again later may help."""


class PermanentError(DeliveryError):
    """The same mail would be refused again."""


class NothingToSendError(DeliveryError):
    """There is nobody to mail, or nothing any more to say."""
