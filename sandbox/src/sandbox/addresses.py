"""Where each part of the sandbox listens."""

from dataclasses import asdict, dataclass
from typing import Self

from sandbox.stack import StackPorts
from sandbox.stack.ports import HOST

DEFAULT_PORT = 8080
DEFAULT_SMTP_PORT = 8025
PORT_COUNT = 18


@dataclass(frozen=True, slots=True)
class Addresses:
    """The port of every process; all follow from the gateway's."""

    gateway: int
    auth: int
    ledger: int
    billing: int
    notifier: int
    provider: int
    stripe: int
    mailbox: int
    kafka: int
    kafka_controller: int
    postgres: int
    redis: int
    smtp: int

    @classmethod
    def from_gateway_port(cls, port: int) -> Self:
        return cls(
            gateway=port,
            auth=port + 1,
            ledger=port + 2,
            billing=port + 3,
            notifier=port + 4,
            provider=port + 10,
            stripe=port + 11,
            mailbox=port + 12,
            kafka=port + 13,
            kafka_controller=port + 14,
            postgres=port + 15,
            redis=port + 16,
            # The port that people expect of a test mailbox, unless everything is moved anyway.
            smtp=DEFAULT_SMTP_PORT if port == DEFAULT_PORT else port + 17,
        )

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.port(name)}"

    def port(self, name: str) -> int:
        ports: dict[str, int] = asdict(self)
        return ports[name]

    @property
    def stack(self) -> StackPorts:
        return StackPorts(
            kafka=self.kafka, kafka_controller=self.kafka_controller, postgres=self.postgres, redis=self.redis
        )
