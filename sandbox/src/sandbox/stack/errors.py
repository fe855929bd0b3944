class StackError(Exception):
    """A server of the local stack cannot be had, started or reached."""


class PortTakenError(StackError):
    """A port that a server was told to use is in use."""

    def __init__(self, server: str, port: int, *, holder: str | None = None) -> None:
        super().__init__(f"{server} needs port {port} on 127.0.0.1, and {holder or 'another process'} holds it")
        self.server = server
        self.port = port


class ProcessDiedError(StackError):
    """A process ended that should have gone on; carries its last log lines."""

    def __init__(self, name: str, *, exit_code: int, log_tail: str) -> None:
        super().__init__(f"{name} ended with exit code {exit_code}; its last log lines:\n{log_tail}")
        self.name = name
        self.exit_code = exit_code
