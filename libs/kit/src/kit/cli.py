"""The shape that every service's command has: `python -m <service> serve|migrate|outbox|dlq …`."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from aiokafka import AIOKafkaConsumer, TopicPartition
from fastapi import FastAPI

from contracts.topics import EVENT_TOPICS
from kit import dead_letters, logging
from kit.garbage import leave_out_what_stays
from kit.producer import Producer
from kit.settings import ServiceSettings, load


def build_cli(
    service: str,
    *,
    settings: type[ServiceSettings],
    create_app: Callable[[ServiceSettings], FastAPI],
    migrations_folder: Path | None = None,
    help_text: str,
    serve_with: Callable[[Any], None] | None = None,
) -> typer.Typer:
    """A Typer app with the verbs that all services share; a service adds its own to what is returned.

    `serve_with` takes the place of building an app and running it where a service must do more than that.
    """
    cli = typer.Typer(help=help_text, no_args_is_help=True, pretty_exceptions_enable=False)

    @cli.command()
    def serve() -> None:
        """Serve HTTP and run the background tasks until SIGTERM."""
        loaded = load(settings, service=service)
        logging.configure(service, loaded.log_level)
        if serve_with is not None:
            serve_with(loaded)
        else:
            run(create_app(loaded), loaded)

    if migrations_folder is not None:
        _add_migrate(cli, service, settings, migrations_folder)
        _add_outbox(cli, service, settings)
    cli.add_typer(_dlq_cli(service, settings), name="dlq")
    return cli


def run(app: FastAPI, settings: ServiceSettings) -> None:
    """Run uvicorn with our limits; its own logging is left to `kit.logging`."""
    leave_out_what_stays()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        timeout_keep_alive=75,
        http="httptools",
        loop="uvloop",
    )


def _add_migrate(cli: typer.Typer, service: str, settings: type[ServiceSettings], folder: Path) -> None:
    @cli.command()
    def migrate(revision: Annotated[str, typer.Option(help="the revision to go to")] = "head") -> None:
        """Bring the service's own database up to date."""
        from kit import migrations  # noqa: PLC0415  # Alembic is loaded where it is needed, not at each start

        loaded = load(settings, service=service)
        # Where a service's own role may not change tables, their owner has another address.
        url = getattr(loaded, "migration_url", None) or loaded.database_url  # type: ignore[attr-defined]  # services with tables
        migrations.upgrade(folder, url.get_secret_value(), revision)
        typer.echo(f"{service}: database is at {revision}")


def _add_outbox(cli: typer.Typer, service: str, settings: type[ServiceSettings]) -> None:
    @cli.command("outbox")
    def list_outbox(limit: Annotated[int, typer.Option(min=0, max=10_000, help="how many to list")] = 20) -> None:
        """Say how many events wait for Kafka, and list the next ones by topic, key and size, never their content."""
        loaded = load(settings, service=service)
        count, records = asyncio.run(_waiting(loaded.database_url.get_secret_value(), limit))  # type: ignore[attr-defined]  # services with tables
        typer.echo(f"{service}: {count} events wait for Kafka")
        for topic, key, value in records:
            size = "tombstone" if value is None else f"{len(value)} bytes"
            typer.echo(f"{topic} {(key or b'-').decode(errors='replace')} {size}")


async def _waiting(url: str, limit: int) -> tuple[int, list[Any]]:
    from kit import outbox  # noqa: PLC0415  # the gateway has no database, and each of its starts would load this
    from kit.database import Database  # noqa: PLC0415

    database = Database(url, source="outbox")
    try:
        async with database.reading() as session:
            return await outbox.waiting(session), await outbox.list_waiting(session, limit=limit)
    finally:
        await database.close()


def _dlq_cli(service: str, settings: type[ServiceSettings]) -> typer.Typer:
    cli = typer.Typer(help="Records that were set aside.", no_args_is_help=True)
    consumed = sorted(topic.name for topic in EVENT_TOPICS if service in topic.consumers)

    @cli.command("list")
    def list_records() -> None:
        """List the records in the DLQs of the topics that this service consumes."""
        loaded = load(settings, service=service)
        for record in asyncio.run(_read(loaded.kafka_bootstrap, [f"{topic}.dlq" for topic in consumed])):
            typer.echo(f"{record.topic} offset {record.offset}: {record.value.decode(errors='replace')[:200]}")

    @cli.command()
    def replay(topic: Annotated[str, typer.Argument(help="the original topic")]) -> None:
        """Send the records of a topic's DLQ to the topic again; consumers dedupe."""
        if topic not in consumed:
            raise typer.BadParameter(f"{service} does not consume {topic}; it consumes {', '.join(consumed)}")
        loaded = load(settings, service=service)
        typer.echo(f"replayed {asyncio.run(_replay(loaded.kafka_bootstrap, topic))} records to {topic}")

    return cli


async def _read(bootstrap: str, topics: list[str]) -> list[Any]:
    """All records of these DLQs up to now; a DLQ has one partition."""
    kafka = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, group_id=None)
    await kafka.start()
    try:
        partitions = [TopicPartition(topic, 0) for topic in topics]
        kafka.assign(partitions)
        await kafka.seek_to_beginning(*partitions)
        ends = await kafka.end_offsets(partitions)
        found: list[Any] = []
        while any([await kafka.position(partition) < end for partition, end in ends.items()]):
            for records in (await kafka.getmany(timeout_ms=500)).values():
                found += [record for record in records if record.value is not None]
        return sorted(found, key=lambda record: (record.topic, record.offset))
    finally:
        await kafka.stop()


async def _replay(bootstrap: str, topic: str) -> int:
    records = [dead_letters.original(record.value) for record in await _read(bootstrap, [f"{topic}.dlq"])]
    producer = Producer(bootstrap, client_id="dlq-replay")
    try:
        await producer.send_all(records)
    finally:
        await producer.stop()
    return len(records)
