"""Every topic with its metadata; a topic and the type on it share one name."""

from dataclasses import dataclass
from typing import Final, Literal

from contracts import auth, billing, gateway, ledger, notifier, operations
from contracts.event import Event

DAY_MS: Final = 86_400_000
SERVICES: Final = ("auth", "gateway", "ledger", "billing", "notifier")

DataClass = Literal["public", "internal", "confidential"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One Kafka topic. Times are `LogAppendTime`, so that a late event is not deleted by its own age."""

    name: str
    description: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    key: str
    event: type[Event] | None
    compacted: bool = False
    partitions: int = 3
    retention_ms: int | None = 14 * DAY_MS
    data_class: DataClass = "internal"
    personal: bool = False

    def config(self) -> dict[str, str]:
        """The topic's Kafka configuration."""
        common = {"message.timestamp.type": "LogAppendTime"}
        if self.compacted:
            return {**common, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
        return {**common, "cleanup.policy": "delete", "retention.ms": str(self.retention_ms or -1)}

    def dlq(self) -> "Topic":
        return Topic(
            name=f"{self.name}.dlq",
            description=f"Records of {self.name} that could not be decoded or applied, with origin and reason.",
            producers=self.consumers,
            consumers=(),
            key="as the origin",
            event=None,
            partitions=1,
            retention_ms=30 * DAY_MS,
            data_class=self.data_class,
            personal=self.personal,
        )


def _fact(
    event: type[Event],
    producer: str,
    consumers: tuple[str, ...],
    *,
    partitions: int = 3,
    retention_days: int = 14,
    data_class: DataClass = "internal",
) -> Topic:
    return Topic(
        name=event.type,
        description=(event.__doc__ or "").strip().split("\n")[0],
        producers=(producer,),
        consumers=consumers,
        key=":".join(event.key_fields),
        event=event,
        partitions=partitions,
        retention_ms=retention_days * DAY_MS,
        data_class=data_class,
    )


def _state(
    event: type[Event], producer: str, consumers: tuple[str, ...], *, data_class: DataClass = "internal"
) -> Topic:
    return Topic(
        name=event.type,
        description=(event.__doc__ or "").strip().split("\n")[0],
        producers=(producer,),
        consumers=consumers,
        key=":".join(event.key_fields),
        event=event,
        compacted=True,
        retention_ms=None,
        data_class=data_class,
    )


_VERIFIERS: Final = ("gateway", "ledger", "billing", "notifier")

EVENT_TOPICS: Final[tuple[Topic, ...]] = (
    _fact(auth.AccountCreated, "auth", ("ledger", "billing")),
    _fact(auth.AccountActivated, "auth", ("ledger",)),
    _state(auth.AccountChanged, "auth", ("gateway", "ledger")),
    _state(auth.UserChanged, "auth", ("auth", *_VERIFIERS)),
    _state(auth.MemberChanged, "auth", ("auth", *_VERIFIERS)),
    _state(auth.ProjectChanged, "auth", ("gateway", "ledger")),
    _state(auth.ProjectShareChanged, "auth", ("ledger",)),
    _state(auth.ApiKeyChanged, "auth", ("gateway", "ledger", "notifier"), data_class="confidential"),
    _state(auth.SessionRevoked, "auth", ("auth", *_VERIFIERS)),
    _fact(auth.MessageRequested, "auth", ("notifier",)),
    _fact(
        gateway.UsageRecorded,
        "gateway",
        ("ledger",),
        partitions=6,
        retention_days=30,
        data_class="confidential",
    ),
    _fact(gateway.CallsRefused, "gateway", ("ledger", "notifier")),
    _fact(gateway.CallsCounted, "gateway", ("ledger",), retention_days=30),
    _state(gateway.RoutingChanged, "gateway", ("gateway",)),
    _fact(gateway.ProviderStateChanged, "gateway", ("notifier",)),
    _fact(ledger.BalanceChanged, "ledger", ("gateway",), partitions=6, data_class="confidential"),
    _fact(ledger.ThresholdCrossed, "ledger", ("notifier", "billing"), data_class="confidential"),
    _state(ledger.PriceBookPublished, "ledger", ("gateway", "billing"), data_class="public"),
    _fact(ledger.ChargeBooked, "ledger", (), partitions=6, data_class="confidential"),
    _fact(ledger.PeriodClosed, "ledger", ("notifier",), data_class="confidential"),
    _fact(ledger.OverageAccrued, "ledger", ("billing",), retention_days=30, data_class="confidential"),
    _state(ledger.HeadSealed, "ledger", (), data_class="confidential"),
    _fact(ledger.ReconciliationDiffered, "ledger", ("notifier",)),
    _fact(ledger.MarginFell, "ledger", ("notifier",), data_class="confidential"),
    _state(billing.PlanPublished, "billing", ("gateway", "ledger"), data_class="public"),
    _state(billing.AccountSettingsChanged, "billing", ("ledger",), data_class="confidential"),
    _state(billing.SubscriptionChanged, "billing", ("auth", "ledger", "notifier"), data_class="confidential"),
    _fact(billing.PaymentSettled, "billing", ("ledger", "notifier"), retention_days=30, data_class="confidential"),
    _fact(billing.PaymentFailed, "billing", ("notifier",), data_class="confidential"),
    _fact(billing.PaymentReversed, "billing", ("ledger", "notifier"), retention_days=30, data_class="confidential"),
    _fact(billing.OverageStranded, "billing", ("notifier",), data_class="confidential"),
    _fact(notifier.DeliveryFailed, "notifier", ()),
    *(_fact(event, service, ("notifier",), partitions=1) for service, event in operations.DLQ_GREW.items()),
)

TOPICS: Final[tuple[Topic, ...]] = tuple(t for topic in EVENT_TOPICS for t in (topic, topic.dlq()))
EVENTS: Final[dict[str, type[Event]]] = {topic.name: topic.event for topic in EVENT_TOPICS if topic.event}
BY_NAME: Final[dict[str, Topic]] = {topic.name: topic for topic in TOPICS}
