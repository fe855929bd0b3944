"""`python -m sandbox.stripe --port N [--state DIR]`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from kit.clock import SandboxClock, SystemClock
from sandbox.outside import run, until_stopped
from sandbox.stripe.app import running_stripe
from sandbox.stripe.settings import Settings, SettingsError


def main(
    port: Annotated[int, typer.Option(help="Where to listen, on 127.0.0.1; 0 takes a free port.", min=0, max=65535)],
    state: Annotated[Path | None, typer.Option(help="Folder that keeps the state; in memory without it.")] = None,
    with_parent: Annotated[bool, typer.Option(help="Stop when standard input ends.", hidden=True)] = False,
) -> None:
    """Serve the stand-in for Stripe.

    Its secrets are FAREGATE_SANDBOX_STRIPE_SECRET_KEY and FAREGATE_SANDBOX_STRIPE_WEBHOOK_SECRET; events go to
    FAREGATE_SANDBOX_STRIPE_WEBHOOK_URL; FAREGATE_CLOCK_FILE moves its time, as that of the services.
    """
    try:
        settings = Settings.from_environment(os.environ, state_folder=state)
    except SettingsError as problem:
        raise SystemExit(str(problem)) from problem
    run(_serve(settings, port=port, with_parent=with_parent))


async def _serve(settings: Settings, *, port: int, with_parent: bool) -> None:
    file = os.environ.get("FAREGATE_CLOCK_FILE")
    clock = SandboxClock(Path(file)) if file else SystemClock()
    async with running_stripe(settings, clock=clock, couriers=clock, port=port) as base_url:
        print(f"sandbox.stripe listens on {base_url}", flush=True)
        await until_stopped(with_parent=with_parent)


if __name__ == "__main__":
    typer.run(main)
