"""Admission: one Redis script decides and reserves; entries stay until the ledger confirms them (money.md 4-10)."""

from gateway.admission.balances import BalanceReader
from gateway.admission.caller import Admission
from gateway.admission.connection import RedisConnection, RedisMisconfiguredError
from gateway.admission.snapshots import SnapshotRefusedError
from gateway.admission.sweeper import Sweeper
from gateway.admission.types import (
    AdmissionRequest,
    AdmissionUnavailableError,
    Admitted,
    OrphanPublisher,
    RefusalReason,
    Refused,
    SettleAnswer,
    SnapshotSource,
    UnknownAccountError,
)

__all__ = [
    "Admission",
    "AdmissionRequest",
    "AdmissionUnavailableError",
    "Admitted",
    "BalanceReader",
    "OrphanPublisher",
    "RedisConnection",
    "RedisMisconfiguredError",
    "RefusalReason",
    "Refused",
    "SettleAnswer",
    "SnapshotRefusedError",
    "SnapshotSource",
    "Sweeper",
    "UnknownAccountError",
]
