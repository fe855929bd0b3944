"""`python -m contracts`: schemas on command, and the compatibility check that CI runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from contracts.schema import asyncapi, breaking_changes, event_schema
from contracts.topics import EVENTS, TOPICS

RELEASED = Path(__file__).parents[2] / "released"

app = typer.Typer(help="Every event and topic of Faregate.", no_args_is_help=True)


@app.command()
def topics() -> None:
    """List the topics with partitions and retention."""
    for topic in TOPICS:
        kept = "compacted" if topic.compacted else f"{(topic.retention_ms or 0) // 86_400_000} days"
        typer.echo(f"{topic.name:45} {topic.partitions} partitions, {kept}, key {topic.key}")


@app.command()
def schema(event_type: Annotated[str, typer.Argument(help="for example billing.payment-settled.v1")]) -> None:
    """Print the JSON Schema of one event's data."""
    if event_type not in EVENTS:
        raise typer.BadParameter(f"unknown event type {event_type!r}; `python -m contracts topics` lists them")
    typer.echo(json.dumps(event_schema(EVENTS[event_type]), indent=2))


@app.command("asyncapi")
def print_asyncapi() -> None:
    """Print the AsyncAPI document of all topics."""
    typer.echo(json.dumps(asyncapi("0.1.0"), indent=2))


@app.command()
def check(released: Annotated[Path, typer.Option(help="folder of released schemas")] = RELEASED) -> None:
    """Compare with the last released schemas; exit 1 when a consumer of them would break."""
    found = compare_with(released)
    for line in found:
        typer.echo(line, err=True)
    if found:
        raise typer.Exit(1)
    typer.echo(f"{len(EVENTS)} events are compatible with the released schemas")


@app.command()
def release(released: Annotated[Path, typer.Option(help="folder of released schemas")] = RELEASED) -> None:
    """Write today's schemas as the released ones; refuses a breaking change."""
    found = compare_with(released)
    if any(": not released yet" not in line for line in found):
        typer.echo("\n".join(found), err=True)
        raise typer.Exit(1)
    released.mkdir(exist_ok=True)
    for name, event in EVENTS.items():
        (released / f"{name}.json").write_text(json.dumps(event_schema(event), indent=2, sort_keys=True) + "\n")
    typer.echo(f"released {len(EVENTS)} schemas")


def compare_with(released: Path) -> list[str]:
    """One line per breaking change, per event that vanished, per event without a released schema."""
    found = []
    for name, event in EVENTS.items():
        path = released / f"{name}.json"
        if not path.exists():
            found.append(f"{name}: not released yet: run `python -m contracts release`")
            continue
        found += breaking_changes(json.loads(path.read_text()), event_schema(event), name)
    names = {path.name.removesuffix(".json") for path in released.glob("*.json")}
    return found + [f"{name}: the event vanished" for name in sorted(names - EVENTS.keys())]
