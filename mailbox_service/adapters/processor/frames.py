"""What the two ends of a processor say to each other: a length, and a pickle.

Both ends are this program, and the child has no more rights than its parent: a pickle is as good as a call.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from mailbox_service.core.automatic import AutomaticMail
from mailbox_service.core.evidence import Authentication
from mailbox_service.core.message import Address, Attachment, ParsedMessage, TextPart
from mailbox_service.core.routing import Subject
from mailbox_service.services.ports import Claim, OutboundClaim
from mailbox_service.services.understanding import Understood
from mailbox_service.sorting import Reason, Verdict
from mailbox_service.sorting.triage import Hint, Triage

HEADER = struct.Struct(">Q")
# The next request lies in the pipe while the one before it is worked, and an answer waits there until we come to it.
PIPE_BYTES = 1 << 20
# A batch takes well below a second. A process that needs longer for one is ended, and its messages have failed.
DEADLINE_SECONDS = 60.0


def _by_fields(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    values = attrgetter(*(f.name for f in fields(kind)))
    return lambda value: (kind, values(value))


# A frozen dataclass with slots pickles itself field by field, in Python: four times the cost of making it anew.
_REDUCERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    kind: _by_fields(kind)
    for kind in (
        *(Address, Attachment, Authentication, AutomaticMail, Claim, OutboundClaim, ParsedMessage, Reason, Subject),
        *(TextPart, Hint, Triage, Understood, Verdict),
    )
}


def packed(value: object) -> bytes:
    buffer = io.BytesIO()
    buffer.write(bytes(HEADER.size))
    pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {**copyreg.dispatch_table, **_REDUCERS}
    pickler.dump(value)
    frame = buffer.getbuffer()
    HEADER.pack_into(frame, 0, len(frame) - HEADER.size)
    return bytes(frame)


def unpacked(frame: bytes) -> Any:
    return pickle.loads(frame)  # noqa: S301 - see above
