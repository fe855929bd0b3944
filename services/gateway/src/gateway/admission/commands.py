"""The commands of the call path, their unchanging parts written once per run of Redis."""

from gateway.admission.scripts import AccountScripts, Command
from gateway.admission.types import AdmissionRequest


class Commands:
    """Made anew when the run changes; a command of another run is never written."""

    __slots__ = ("_admit", "_extend", "_run_id", "_scripts", "_settle", "offset_ms")

    def __init__(self, scripts: AccountScripts, *, offset_ms: int) -> None:
        self._scripts = scripts
        self.offset_ms = offset_ms
        self._renew("")

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
        self._run_id = run_id
        self._admit, self._settle, self._extend = (
            Command(script, run_id=run_id, offset_ms=self.offset_ms)
            for script in (self._scripts.admit, self._scripts.settle, self._scripts.extend)
        )


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
