"""The ids of rows, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NewType, TypeVar

MessageId = NewType("MessageId", int)  # row of table message: what `message show` calls ID
OutboundId = NewType("OutboundId", int)
CaseId = NewType("CaseId", int)
FolderId = NewType("FolderId", int)
T = TypeVar("T")
Clock = Callable[[], datetime]
