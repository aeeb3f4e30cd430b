"""Ways to tell people of an alarm beside mail, which may be what is broken (services.alarms.AlarmChannel)."""

from mailbox_service.adapters.alarms.command import CommandChannel
from mailbox_service.adapters.alarms.webhook import WebhookAccount, WebhookChannel

__all__ = ["CommandChannel", "WebhookAccount", "WebhookChannel"]
