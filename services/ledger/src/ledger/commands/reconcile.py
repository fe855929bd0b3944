"""`python -m ledger reconcile`."""

from typing import Annotated, Any, Final

import httpx2
import typer

from kit.database import Database
from ledger.adapters.dead_letters import DeadLetters
from ledger.adapters.usage_topic import UsageTopic
from ledger.app import build_journals, build_use_cases
from ledger.commands.running import DIFFERS, instant, run, show_json
from ledger.domain.reconciling import Reconciliation, Window
from ledger.entrypoints.events import build_consumer
from ledger.service.catalogue import Catalogue
from ledger.service.reconciling import Reconciling
from ledger.service.repairing import Repaired, Repairing
from ledger.settings import LedgerSettings

ON_THE_WAY: Final = "its gateway reported it and has not delivered it yet; it is booked when it comes"
NOWHERE: Final = "its end is in no topic and no gateway that answers has its journal; start one on that state folder"
Found = tuple[list[Reconciliation], Repaired | None]


def reconcile(
    *,
    window: Annotated[str, typer.Option(help="FROM/TO, RFC 3339, whole minutes")],
    instance: Annotated[str | None, typer.Option(help="one gateway instance only")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="apply what can be applied, then compare again")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Compare what gateways admitted with what the books hold; exit 1 and name each missing call."""
    wanted = _window(window)

    async def work(settings: LedgerSettings, database: Database) -> Found:
        clock, letters = settings.clock(), DeadLetters(settings.kafka_bootstrap)
        async with httpx2.AsyncClient() as http:
            reconciling = Reconciling(database, clock, build_journals(settings, http), letters)
            if not repair:
                return await reconciling.reconcile(wanted, instance=instance), None
            use = build_use_cases(settings, clock, Catalogue())
            repairing = Repairing(database, clock, build_consumer(use), use.booking)
            repaired = await repairing.repair(wanted, await letters.read())
            found = await reconciling.reconcile(wanted, instance=instance)
            if any(one.missing for one in found):
                topic, journals = UsageTopic(settings.kafka_bootstrap), build_journals(settings, http)
                await repairing.end_missing(found, topic=topic, journals=journals, repaired=repaired)
                found = await reconciling.reconcile(wanted, instance=instance)
            return found, repaired

    found, repaired = run(work)
    if as_json:
        show_json({"instances": [_shown(one) for one in found], "repaired": _shown_repairs(repaired)})
    else:
        _tell(found, repaired)
    if any(not one.is_equal for one in found):
        raise typer.Exit(DIFFERS)


def _window(text: str) -> Window:
    start, slash, end = text.partition("/")
    if not slash:
        raise typer.BadParameter("a window is FROM/TO", param_hint="--window")
    window = Window(instant(start, name="--window"), instant(end, name="--window"))
    if window.minutes < 1 or any(one.second or one.microsecond for one in (window.start, window.end)):
        raise typer.BadParameter("a window is one or more whole minutes", param_hint="--window")
    return window


def _tell(found: list[Reconciliation], repaired: Repaired | None) -> None:
    if repaired is not None:
        _tell_repairs(repaired)
    for one in found:
        admitted = one.admitted if one.journalled is None else one.journalled
        typer.echo(
            f"{one.gateway_instance}: {admitted} admitted, {one.booked} booked, {one.parked} parked, "
            f"{one.set_aside} set aside: {'equal' if one.is_equal else 'DIFFERENT'}"
        )
        if one.silent_minutes:
            typer.echo(f"  the gateway said nothing of {one.silent_minutes} minutes", err=True)
        for address in one.unreachable:
            typer.echo(f"  {address} did not answer", err=True)
        for call_id in one.missing:
            typer.echo(f"  missing: {call_id}", err=True)
        for call_id in one.unexpected:
            typer.echo(f"  in no journal: {call_id}", err=True)
    if not found:
        typer.echo("no gateway said anything of this window")


def _tell_repairs(repaired: Repaired) -> None:
    counted = f"{repaired.parked} parked events, {repaired.dead_letters} dead letters"
    ended = f"{repaired.found_again} found in the topic, {repaired.orphaned} ended as orphaned"
    typer.echo(f"repaired: {counted}, {ended}")
    for refused in repaired.refused:
        typer.echo(f"  still refused: {refused}", err=True)
    for call_id in repaired.on_the_way:
        typer.echo(f"  {ON_THE_WAY}: {call_id}", err=True)
    for call_id in repaired.nowhere:
        typer.echo(f"  {NOWHERE}: {call_id}", err=True)


def _shown(one: Reconciliation) -> dict[str, Any]:
    return {
        "gateway_instance": one.gateway_instance,
        "window": [one.window.start, one.window.end],
        "equal": one.is_equal,
        "admitted": one.admitted,
        "journalled": one.journalled,
        "booked": one.booked,
        "parked": one.parked,
        "set_aside": one.set_aside,
        "silent_minutes": one.silent_minutes,
        "missing": list(one.missing),
        "unexpected": list(one.unexpected),
        "unreachable": list(one.unreachable),
    }


def _shown_repairs(repaired: Repaired | None) -> dict[str, Any] | None:
    if repaired is None:
        return None
    return {
        "parked": repaired.parked,
        "dead_letters": repaired.dead_letters,
        "found_again": repaired.found_again,
        "orphaned": repaired.orphaned,
        "refused": repaired.refused,
        "on_the_way": repaired.on_the_way,
        "nowhere": repaired.nowhere,
    }
