"""What other services ask."""

from uuid import UUID

from pydantic import Field

from kit.http import RequestModel


class SnapshotRequest(RequestModel):
    """Calls whose entries a gateway still holds."""

    calls: list[UUID] = Field(default=[], max_length=5000)
