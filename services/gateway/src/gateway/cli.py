from types import FrameType

import uvicorn
from fastapi import FastAPI

from gateway.app import Gateway, create_app
from gateway.settings import Settings
from kit.cli import build_cli

# After the grace: the last events (5 s each at most, side by side) and their answers.
_AFTER_GRACE_S = 8


class GatewayServer(uvicorn.Server):
    """Tells the calls about the end when the signal comes, and exits with 0 after a graceful one."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn's own handler would raise the signal again at the end, and the process would die of it.
        self.should_exit = True
        self._gateway.calls.begin_closing(grace_s=self._gateway.settings.shutdown_grace_s)


def run(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.shutdown_grace_s) + _AFTER_GRACE_S,
        timeout_keep_alive=75,
        http="httptools",
        loop="uvloop",
    )
    server = GatewayServer(config, app.state.gateway)
    server.run()
    if not server.started:
        raise SystemExit(3)


cli = build_cli(
    "gateway",
    settings=Settings,
    create_app=create_app,  # type: ignore[arg-type]  # each service takes its own settings
    help_text="The gateway: the model API, admission and metering.",
    run_app=run,
)
