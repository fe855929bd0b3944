"""Admission: one Redis script decides and reserves; entries stay until the ledger confirms them (money.md 4-10)."""

from gateway.admission.address_limits import AddressLimits
from gateway.admission.balances import BalanceReader
from gateway.admission.caller import Admission
from gateway.admission.connection import RedisConnection, RedisMisconfiguredError
from gateway.admission.snapshots import SnapshotRefusedError
from gateway.admission.standing import Standing, UnitStanding
from gateway.admission.sweeper import Sweeper
from gateway.admission.types import (
    NOTHING,
    AccountTerms,
    AdmissionRequest,
    AdmissionUnavailableError,
    Admitted,
    Allocation,
    Amounts,
    HeldCall,
    Left,
    LimitState,
    OrphanPublisher,
    Rate,
    RefusalReason,
    Refused,
    Replan,
    SettleAnswer,
    SnapshotSource,
    UnknownAccountError,
)

__all__ = [
    "NOTHING",
    "AccountTerms",
    "AddressLimits",
    "Admission",
    "AdmissionRequest",
    "AdmissionUnavailableError",
    "Admitted",
    "Allocation",
    "Amounts",
    "BalanceReader",
    "HeldCall",
    "Left",
    "LimitState",
    "OrphanPublisher",
    "Rate",
    "RedisConnection",
    "RedisMisconfiguredError",
    "RefusalReason",
    "Refused",
    "Replan",
    "SettleAnswer",
    "SnapshotRefusedError",
    "SnapshotSource",
    "Standing",
    "Sweeper",
    "UnitStanding",
    "UnknownAccountError",
]
