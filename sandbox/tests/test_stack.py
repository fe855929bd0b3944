import asyncio
import os
import socket
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from redis.asyncio import Redis

from sandbox.kept_stack import kept_stack, stop_kept_stack
from sandbox.stack import External, PortTakenError, ProcessDiedError, Stack, StackError, StackPorts
from sandbox.stack.ports import check_port, free_port_base, free_ports
from sandbox.stack.process import Process
from sandbox.stack.topics import create_topics, end_offsets
from sandbox.testing import FlushRedis, FreshDatabase, KafkaRecords, SkipToEnd, forget_real_keys

pytestmark = pytest.mark.long

TOPIC = "gateway.usage-recorded.v1"


async def test_a_service_opens_its_own_database(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.database_url("ledger"))

    assert await connection.fetchval("SELECT current_user || '/' || current_database()") == (
        "faregate_ledger/faregate_ledger"
    )
    await connection.close()


@pytest.mark.parametrize("database", ["faregate_auth", "faregate_billing", "postgres", "template1"])
async def test_a_service_cannot_open_another_database(stack: Stack, database: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(stack.database_url("ledger", database=database))


async def test_a_wrong_password_is_refused(stack: Stack) -> None:
    url = stack.database_url("ledger").replace("faregate_ledger:", "faregate_ledger:x")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


async def test_a_fresh_database_belongs_to_its_service_alone(stack: Stack, fresh_database: FreshDatabase) -> None:
    url = await fresh_database("billing")

    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE made (id int)")
    await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(stack.database_url("ledger", database=url.rpartition("/")[2]))


async def test_records_written_are_read_back_in_order(
    stack: Stack, topics: list[str], kafka_records: KafkaRecords
) -> None:
    await _write(stack, [b"one", b"two"])

    assert [value for key, value in await kafka_records(TOPIC) if key == b"stack"][-2:] == [b"one", b"two"]


async def test_a_group_skipped_to_the_end_sees_only_what_comes_after(stack: Stack, skip_to_end: SkipToEnd) -> None:
    await _write(stack, [b"before"])
    await skip_to_end("skipping")
    await _write(stack, [b"after"])

    assert await _first_value(stack, group="skipping") == b"after"


async def test_redis_refuses_writes_rather_than_forgetting(stack: Stack, flush_redis: FlushRedis) -> None:
    async with Redis.from_url(stack.redis_url, decode_responses=True) as client:
        await client.set("left", "1")
        await flush_redis()

        assert await client.dbsize() == 0
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        assert (await client.config_get("appendonly"))["appendonly"] == "yes"


async def test_servers_keep_data_and_ports_over_stop_kill_and_start_and_leave_nothing(state_folder: Path) -> None:
    stack = Stack(state_folder, external=External())
    async with stack:
        before = await _leave_marks(stack)
        for server in (stack.redis, stack.postgres, stack.kafka):
            await server.kill()
            await server.start()
        assert await _read_marks(stack) == before
        started = [psutil.Process(pid) for pid in (stack.kafka.pid, stack.redis.pid, stack.postgres.pid) if pid]
        family = started + [child for process in started for child in process.children(recursive=True)]
        assert len(started) == 3
        begin = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begin < 10
    # What is dead may still wait for the system to take note of it.
    assert [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE] == []
    async with stack:
        assert await _read_marks(stack) == before


async def test_a_taken_port_is_named_and_nothing_stays_up(state_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        kafka, controller, redis = free_ports(3)
        stack = Stack(
            state_folder,
            ports=StackPorts(kafka=kafka, kafka_controller=controller, postgres=port, redis=redis),
            external=External(),
        )

        with pytest.raises(StackError, match=f"PostgreSQL needs port {port} .*process {os.getpid()}"):
            await stack.start()

    assert [server.pid for server in (stack.kafka, stack.redis, stack.postgres)] == [None, None, None]


def test_a_port_that_nobody_holds_passes() -> None:
    base = free_port_base(4)

    for offset in range(4):
        check_port("anything", base + offset)


def test_a_taken_port_carries_server_and_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTakenError) as caught:
        check_port("Redis", taken.getsockname()[1])

    assert caught.value.server == "Redis"


async def test_servers_that_run_elsewhere_are_used_and_not_started(state_folder: Path, stack: Stack) -> None:
    external = External(kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url, postgres_url=stack.admin_url)
    async with Stack(state_folder, external=external) as other:
        assert other.servers == {}
        assert other.database_url("auth") == stack.database_url("auth")
        connection = await asyncpg.connect(other.database_url("auth"))
        await connection.close()
        with pytest.raises(StackError, match="FAREGATE_REDIS_URL"):
            _ = other.redis


async def test_a_kept_stack_is_found_again_until_it_is_stopped(state_folder: Path) -> None:
    first = await asyncio.to_thread(kept_stack, state_folder)
    again = await asyncio.to_thread(kept_stack, state_folder)
    try:
        assert again.ports == first.ports
        async with Redis.from_url(again.redis_url) as client:
            assert await client.ping()
    finally:
        assert await asyncio.to_thread(stop_kept_stack, state_folder)
    assert not await asyncio.to_thread(stop_kept_stack, state_folder)
    check_port("Redis", first.ports.redis)


async def test_a_process_that_dies_is_named_with_its_last_lines(tmp_path: Path) -> None:
    process = _shell("echo the reason; exit 7", tmp_path=tmp_path)
    process.start()

    with pytest.raises(ProcessDiedError, match=r"(?s)teller ended with exit code 7.*the reason"):
        await process.wait_until(_never, timeout_s=10)


async def test_a_process_that_ignores_the_request_to_end_is_killed_with_its_children(tmp_path: Path) -> None:
    process = _shell("trap '' TERM; sleep 60 & wait; sleep 60", tmp_path=tmp_path)
    process.start()
    await asyncio.sleep(0.3)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]

    await process.stop()

    assert len(family) == 2
    assert [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE] == []


def test_real_keys_are_forgotten() -> None:
    env = {"FAREGATE_ANTHROPIC_API_KEY": "a", "STRIPE_API_KEY": "b", "ANTHROPIC_BASE_URL": "c", "PATH": "/bin"}

    forget_real_keys(env)

    assert env == {"PATH": "/bin"}


def _shell(script: str, *, tmp_path: Path) -> Process:
    return Process(
        name="teller",
        command=["/bin/sh", "-c", script],
        log_path=tmp_path / "log",
        env=dict(os.environ),
        stop_timeout_s=0.3,
    )


async def _never() -> bool:
    return False


async def _write(stack: Stack, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(TOPIC, value, key=b"stack")


async def _first_value(stack: Stack, *, group: str) -> bytes | None:
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=stack.kafka_bootstrap, group_id=group, auto_offset_reset="earliest"
    )
    async with asyncio.timeout(20), consumer:
        return (await consumer.getone()).value


async def _leave_marks(stack: Stack) -> tuple[object, ...]:
    await create_topics(stack.kafka_bootstrap)
    await _write(stack, [b"kept"])
    async with Redis.from_url(stack.redis_url) as client:
        await client.set("kept", "yes")
        await asyncio.sleep(1.2)  # the append-only file is synced every second
    connection = await asyncpg.connect(stack.database_url("ledger"))
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()
    return await _read_marks(stack)


async def _read_marks(stack: Stack) -> tuple[object, ...]:
    async with Redis.from_url(stack.redis_url) as client:
        in_redis = await client.get("kept")
    connection = await asyncpg.connect(stack.database_url("ledger"))
    in_postgres = await connection.fetchval("SELECT answer FROM kept")
    await connection.close()
    in_kafka = sum((await end_offsets(stack.kafka_bootstrap, {TOPIC})).values())
    return in_redis, in_postgres, in_kafka
