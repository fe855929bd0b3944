"""What every service's machinery says about itself."""

from typing import ClassVar, Final

from contracts.event import Event


class DlqGrew(Event):
    """A record was set aside; somebody should look at it. Keyed by its topic."""

    key_fields: ClassVar[tuple[str, ...]] = ("topic",)

    topic: str
    partition: int
    offset: int
    reason: str


class AuthDlqGrew(DlqGrew):
    """The auth service set a record aside."""

    type: ClassVar[str] = "auth.dlq-grew.v1"


class GatewayDlqGrew(DlqGrew):
    """A gateway set a record aside."""

    type: ClassVar[str] = "gateway.dlq-grew.v1"


class LedgerDlqGrew(DlqGrew):
    """The ledger set a record aside."""

    type: ClassVar[str] = "ledger.dlq-grew.v1"


class BillingDlqGrew(DlqGrew):
    """Billing set a record aside."""

    type: ClassVar[str] = "billing.dlq-grew.v1"


class NotifierDlqGrew(DlqGrew):
    """The notifier set a record aside."""

    type: ClassVar[str] = "notifier.dlq-grew.v1"


DLQ_GREW: Final[dict[str, type[DlqGrew]]] = {
    "auth": AuthDlqGrew,
    "gateway": GatewayDlqGrew,
    "ledger": LedgerDlqGrew,
    "billing": BillingDlqGrew,
    "notifier": NotifierDlqGrew,
}
