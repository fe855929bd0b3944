"""The commands of the call path, their unchanging parts written once per run of Redis."""

from gateway.admission.scripts import AccountScripts, Command
from gateway.admission.types import AdmissionRequest
from kit.clock import MovedClock, SandboxClock


class Commands:
    """Made anew when the run changes; a command of another run is never written."""

    __slots__ = ("_admit", "_clock", "_extend", "_run_id", "_scripts", "_settle")

    def __init__(self, scripts: AccountScripts, *, clock: MovedClock) -> None:
        self._scripts = scripts
        self._clock = clock
        self._renew("")

    @property
    def offset_ms(self) -> int:
        return offset_ms_of(self._clock)

    def admit(self, run_id: str) -> Command:
        if run_id != self._run_id:
            self._renew(run_id)
        return self._admit

    def settle(self, run_id: str) -> Command:
        if run_id != self._run_id:
            self._renew(run_id)
        return self._settle

    def extend(self, run_id: str) -> Command:
        if run_id != self._run_id:
            self._renew(run_id)
        return self._extend

    def _renew(self, run_id: str) -> None:
        self._run_id, offset_ms = run_id, self.offset_ms
        self._admit, self._settle, self._extend = (
            Command(script, run_id=run_id, offset_ms=offset_ms)
            for script in (self._scripts.admit, self._scripts.settle, self._scripts.extend)
        )


class MovingCommands(Commands):
    """The same in a sandbox whose clock is moved while it runs: written anew after each move as well."""

    __slots__ = ("_written_ms",)

    def admit(self, run_id: str) -> Command:
        self._follow()
        return super().admit(run_id)

    def settle(self, run_id: str) -> Command:
        self._follow()
        return super().settle(run_id)

    def extend(self, run_id: str) -> Command:
        self._follow()
        return super().extend(run_id)

    def _follow(self) -> None:
        if self.offset_ms != self._written_ms:
            self._renew(self._run_id)

    def _renew(self, run_id: str) -> None:
        self._written_ms = self.offset_ms
        super()._renew(run_id)


def commands_for(scripts: AccountScripts, *, clock: MovedClock) -> Commands:
    """Calls pay for looking at the clock's offset only where it can change."""
    kind = MovingCommands if isinstance(clock, SandboxClock) else Commands
    return kind(scripts, clock=clock)


def offset_ms_of(clock: MovedClock) -> int:
    """What scripts add to Redis's own time."""
    return int(clock.offset_s * 1000)


def packed_request(request: AdmissionRequest, people: str, *, patience_ms: int, most_entries: int) -> str:
    """As the admit script takes a call."""
    terms, near, model = request.terms, request.near, request.model
    credit_nano, tokens, requests, overage_nano, rate_tokens, _ = request.amounts
    return (
        f"{request.call_id.int:032x}|{patience_ms}|{most_entries}|{terms.digest}|"
        f"{'' if near is None else '1' if near else '0'}|{request.max_tokens}|"
        f"{credit_nano}|{tokens}|{overage_nano}|{requests}|{rate_tokens}|"
        f"{people}|{terms.markups.get(model, terms.markup_bps)}|{model}"
    )
