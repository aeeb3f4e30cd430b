"""`python -m mailbox_service` is the command `mailbox-service`."""

import sys

from mailbox_service.cli import main

sys.exit(main())
