"""Doors for mail servers that push: LMTP on a unix socket, SMTP on a port of this machine (ports.DeliveryDoor)."""

from mailbox_service.adapters.lmtp.listener import Listener, TcpDoor, UnixDoor, is_alive
from mailbox_service.adapters.lmtp.session import DoorStatus

__all__ = ["DoorStatus", "Listener", "TcpDoor", "UnixDoor", "is_alive"]
