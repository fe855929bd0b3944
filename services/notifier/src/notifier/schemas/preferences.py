"""What people choose about their mails."""

import re
from datetime import time
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from kit.http import RequestModel, ResponseModel
from notifier.domain.choosing import MailChoice
from notifier.domain.schedules import Schedule, is_time_zone
from notifier.schemas.feed import PriorityName
from notifier.service.preferences import Preference

_MINUTE: Final = re.compile(r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$", re.ASCII)


def _known_zone(name: str) -> str:
    if not is_time_zone(name):
        raise ValueError("should be a time zone such as Europe/Berlin")
    return name


def _minute_of_day(value: object) -> object:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or _MINUTE.fullmatch(value) is None:
        raise ValueError("should be a time of day such as 22:30")
    return time.fromisoformat(value)


TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]
TimeOfDay = Annotated[
    time,
    BeforeValidator(_minute_of_day),
    PlainSerializer(lambda at: f"{at:%H:%M}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _MINUTE.pattern}),
]


class PreferenceAnswer(ResponseModel):
    """`required` kinds cannot be switched off or collected by owners."""

    kind: str
    title: str
    priority: PriorityName
    required: bool
    mail: MailChoice

    @classmethod
    def of(cls, preference: Preference, *, language: str) -> "PreferenceAnswer":
        kind = preference.kind
        return cls(
            kind=kind.name,
            title=kind.title.get(language, kind.title["en"]),
            priority=kind.priority.name.lower(),
            required=not kind.optional,
            mail=preference.mail,
        )


class PreferencesAnswer(ResponseModel):
    """Every kind that the caller's role may see."""

    preferences: list[PreferenceAnswer]


class ChoiceRequest(RequestModel):
    """At once, in the digest, or not at all."""

    mail: MailChoice


class ScheduleBody(RequestModel):
    """Quiet from one time of day until another, past midnight if need be; both or neither."""

    time_zone: TimeZone
    quiet_from: TimeOfDay | None = None
    quiet_until: TimeOfDay | None = None
    digest_at: TimeOfDay = Field(default_factory=lambda: time(8))

    @model_validator(mode="after")
    def _both_or_neither(self) -> "ScheduleBody":
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValueError("quiet_from and quiet_until go together")
        if self.quiet_from is not None and self.quiet_from == self.quiet_until:
            raise ValueError("quiet_from and quiet_until are the same time")
        return self

    def schedule(self) -> Schedule:
        return Schedule(self.time_zone, self.quiet_from, self.quiet_until, self.digest_at)

    @classmethod
    def of(cls, schedule: Schedule) -> "ScheduleBody":
        return cls(
            time_zone=schedule.time_zone,
            quiet_from=schedule.quiet_from,
            quiet_until=schedule.quiet_until,
            digest_at=schedule.digest_at,
        )
