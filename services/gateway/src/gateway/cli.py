from gateway import serving
from gateway.app import create_app
from gateway.settings import Settings
from gateway.usage.commands import journal_commands, spool_commands
from kit import logging
from kit.cli import build_cli


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, in one process or several."""

    def build() -> serving.Served:
        app = create_app(settings)
        gateway = app.state.gateway
        return serving.Served(
            app=app,
            protocol=app.state.protocol,
            on_stop=lambda: gateway.calls.begin_closing(grace_s=settings.shutdown_grace_s),
        )

    serving.run(build, settings.serving())


cli = build_cli(
    "gateway",
    settings=Settings,
    create_app=create_app,  # type: ignore[arg-type]  # each service takes its own settings
    help_text="The gateway: the model API, admission and metering.",
    serve_with=serve,
)


def _only_errors() -> None:
    """On standard error: standard output is the answer."""
    logging.configure("gateway", "ERROR")


cli.add_typer(spool_commands(), name="spool", callback=_only_errors)
cli.add_typer(journal_commands(), name="journal", callback=_only_errors)
