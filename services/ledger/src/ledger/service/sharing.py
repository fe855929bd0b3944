"""Projects that other accounts may see the usage of, as auth says; the state topic is read whole and kept in memory."""

from uuid import UUID

from contracts.auth import ProjectShareChanged
from ledger.errors import UnknownSharedProjectError


class SharedProjects:
    """Which project is shared with which account: explicit, and few."""

    def __init__(self) -> None:
        self._versions: dict[UUID, int] = {}
        self._active: dict[tuple[UUID, UUID], dict[UUID, UUID]] = {}

    def on_changed(self, event: ProjectShareChanged) -> None:
        """Older versions than the known are ignored: a reader that starts over must not bring a share back."""
        if event.version <= self._versions.get(event.share_id, 0):
            return
        self._versions[event.share_id] = event.version
        between = (event.with_account_id, event.project_id)
        if event.state == "active":
            self._active.setdefault(between, {})[event.share_id] = event.account_id
        elif event.share_id in (shares := self._active.get(between, {})):
            del shares[event.share_id]

    def owner(self, project_id: UUID, *, shared_with: UUID) -> UUID:
        """The account whose project it is; raises `UnknownSharedProjectError` when it is not shared."""
        shares = self._active.get((shared_with, project_id))
        if not shares:
            raise UnknownSharedProjectError("No such project is shared with this account.", field="shared_project_id")
        return next(iter(shares.values()))
