"""The process in which one override is tried out; see `_try_out`."""

from mailbox_service.adapters.templates import try_out_in_this_process

try_out_in_this_process()
