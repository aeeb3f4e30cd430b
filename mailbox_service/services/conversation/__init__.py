"""A case lives in mail threads: what people write is read, proven, carried out, and told to those who should know.

`speakers` says who wrote and what proves it, `requests` reads what they ask for, `casework` applies it to the case,
`confirmations` asks back where the proof is too little, `letters` and `answers` write what follows, with the values of
`contexts`. `conduct` is a message's way through all of them, `desk` that of an answer to a digest, `hearing` the door
of both.
"""

from __future__ import annotations

from mailbox_service.services.conversation.hearing import Said, hear, outlook
from mailbox_service.services.conversation.turn import Heard

__all__ = ["Heard", "Said", "hear", "outlook"]
