"""What of the rules of a case can be configured: deadlines, working days, what reporters are asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, ValidationInfo, field_validator

from mailbox_service.config.section import Section
from mailbox_service.config.values import Duration, duration_between, problem

Asked = Literal["credit", "severity", "ai_disclosure"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Clocks(Section):
    """What falls due in a case, and when. Plain durations; only the first answer counts working days."""

    update_interval: Annotated[Duration, AfterValidator(duration_between("1d", "90d"))] = timedelta(days=7)
    info_reminder: Annotated[Duration, AfterValidator(duration_between("1d", "90d"))] = timedelta(days=7)
    info_close: Annotated[Duration, AfterValidator(duration_between("2d", "365d"))] = timedelta(days=30)
    embargo: Annotated[Duration, AfterValidator(duration_between("1d", "730d"))] = timedelta(days=90)
    verdict_within: Annotated[Duration, AfterValidator(duration_between("1d", "90d"))] = timedelta(days=7)
    publication_delay: Annotated[Duration, AfterValidator(duration_between("1h", "365d"))] | None = None

    @field_validator("info_close")
    @classmethod
    def _after_the_reminder(cls, end: timedelta, info: ValidationInfo) -> timedelta:
        if end <= info.data.get("info_reminder", timedelta()):
            raise problem("is not longer than info_reminder; a case must not close before the reporter was reminded")
        return end
