"""`spool` and `journal` on the command line: what waits, sending it while no gateway runs, ending what is left."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from gateway.usage import journal_files, spool_files
from gateway.usage.durability import Durability, DurabilitySettings
from gateway.usage.folders import FolderInUseError, InstanceFolder, default_state, instance_folders, unheld
from gateway.usage.links import Links
from gateway.usage.replay import Replay
from gateway.usage.spool import Spool
from kit.clock import SystemClock

_CLIENT: Final = "spool-replay"

StateOption = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="FAREGATE_GATEWAY_STATE_DIR",
        default_factory=default_state,
        help="the folder of journals and spools",
    ),
]
KafkaOption = Annotated[str, typer.Option("--kafka", envvar="FAREGATE_KAFKA_BOOTSTRAP", help="Kafka's addresses")]
JsonOption = Annotated[bool, typer.Option("--json", help="for programs")]


def spool_commands() -> typer.Typer:
    cli = typer.Typer(no_args_is_help=True, help="Usage events that wait for Kafka.")

    @cli.command()
    def status(state: StateOption, as_json: JsonOption = False) -> None:  # noqa: FBT002  # Typer's way
        """What waits, by instance; may be asked while gateways run."""
        found = [_status(folder) for folder in instance_folders(state)]
        if as_json:
            typer.echo(orjson.dumps(found))
            return
        for one in found:
            runs = "runs" if one["runs"] else "stopped"
            typer.echo(f"{one['instance']} ({runs}): {one['events']} events, {one['bytes']} bytes in {one['folder']}")
            if one["damaged_bytes"]:
                typer.echo(f"  {one['damaged_bytes']} bytes cannot be read")
        typer.echo(f"{sum(one['events'] for one in found)} events wait")

    @cli.command()
    def replay(
        kafka: KafkaOption,
        state: StateOption,
        as_json: JsonOption = False,  # noqa: FBT002  # Typer's way
    ) -> None:
        """Send what stopped gateways left; a gateway that runs sends its own, and is refused."""
        running = [folder.instance for folder in instance_folders(state) if folder.is_in_use()]
        sent = asyncio.run(_replay(state, kafka))
        typer.echo(orjson.dumps({"sent": sent, "running": running}) if as_json else f"{sent} events sent")
        if running:
            typer.echo(f"left alone, as they run: {', '.join(running)}", err=True)
            raise typer.Exit(1)

    return cli


def journal_commands() -> typer.Typer:
    cli = typer.Typer(help="Admissions, as they were written before each call.", no_args_is_help=True)

    @cli.command()
    def ids(
        start: Annotated[datetime, typer.Option("--from", help="UTC, included")],
        end: Annotated[datetime, typer.Option("--to", help="UTC, not included")],
        state: StateOption,
        instance: Annotated[str | None, typer.Option(help="one instance only")] = None,
    ) -> None:
        """The ids of the calls that were admitted in a window, with their instance."""
        start_us, end_us = _microseconds(start), _microseconds(end)
        for folder in instance_folders(state):
            if instance in {None, folder.instance}:
                for call_id in journal_files.ids_between(folder.journal, start_us, end_us):
                    typer.echo(f"{folder.instance} {call_id}")

    @cli.command()
    def adopt(
        folder: Annotated[Path, typer.Argument(help="the folder of an instance that no longer starts")],
        kafka: KafkaOption,
        state: StateOption,
    ) -> None:
        """End the calls of a journal from elsewhere and send its spool; moves the folder into the state folder."""
        if InstanceFolder(folder).is_in_use():
            raise typer.BadParameter(str(FolderInUseError(folder)))
        if not (folder / "journal").is_dir():
            raise typer.BadParameter(f"{folder} holds no journal")
        place = _moved(folder, state)
        asyncio.run(_recover(state, kafka, instance=f"adopting-{place.name}"))
        left = len(journal_files.read(place / "journal").open)
        typer.echo(f"{left} calls could not be ended; try again" if left else "adopted")
        raise typer.Exit(1 if left else 0)

    return cli


def _status(folder: InstanceFolder) -> dict[str, Any]:
    waiting = spool_files.waiting_in(folder.spool)
    return {
        "instance": folder.instance,
        "runs": folder.is_in_use(),
        "events": waiting.events,
        "bytes": waiting.bytes,
        "oldest_s": waiting.oldest_s,
        "damaged_bytes": waiting.damage.bytes_skipped,
        "open_calls": len(journal_files.read(folder.journal).open),
        "folder": str(folder.path),
    }


async def _replay(state: Path, kafka: str) -> int:
    sent = 0
    async with _linked(kafka) as links:
        for folder in unheld(state):
            spool = Spool(folder.spool)
            spool.start()
            replay = Replay(spool, links)
            while some := await replay.replay_some():
                sent += some
            left = spool.events
            spool.close()
            if left:
                typer.echo(f"Kafka did not take {left} events of {folder.instance}", err=True)
                raise typer.Exit(2)
    return sent


@asynccontextmanager
async def _linked(kafka: str) -> AsyncIterator[Links]:
    links = Links(kafka, client_id=_CLIENT)
    await links.connect()
    if links.link is None:
        typer.echo("Kafka does not answer", err=True)
        raise typer.Exit(2)
    try:
        yield links
    finally:
        await links.close()


def _moved(folder: Path, state: Path) -> Path:
    place = state / folder.name
    if folder.resolve() != place.resolve():
        state.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, place)
    return place


async def _recover(state: Path, kafka: str, *, instance: str) -> None:
    """Be the durable part of a gateway for as long as it takes to end whatever nobody holds."""
    durability = Durability(DurabilitySettings(state), bootstrap=kafka, instance=instance, clock=SystemClock())
    await durability.start()
    try:
        await durability.recovered.wait()
    finally:
        await durability.stop()


def _microseconds(instant: datetime) -> int:
    return journal_files.microseconds_of(instant.replace(tzinfo=instant.tzinfo or UTC))
