"""OpenPGP by gpg (docs/decisions/016-gpg-by-a-runner-of-our-own.md)."""

from mailbox_service.adapters.openpgp.door import GpgDoor
from mailbox_service.adapters.openpgp.homes import Homes

__all__ = ["GpgDoor", "Homes"]
