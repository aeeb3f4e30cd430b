"""`python -m mailbox_service.demo`: the mail server of the demo alone, until SIGTERM, as docker-compose.yml has it."""

from __future__ import annotations

import argparse
import asyncio
import signal

from mailbox_service.app import now
from mailbox_service.cli.output import write
from mailbox_service.demo.servers import DEMO_ACCOUNTS, HOST, DemoMailServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mailbox_service.demo", description=__doc__)
    parser.add_argument("--host", default=HOST, help="the address to listen at; this server keeps nobody out")
    parser.add_argument("--imap", type=int, default=0, metavar="PORT", help="0 takes a free one")
    parser.add_argument("--smtp", type=int, default=0, metavar="PORT", help="0 takes a free one")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.host, arguments.imap, arguments.smtp))


async def _serve(host: str, imap: int, smtp: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with DemoMailServer(clock=now, listen=(host, imap, smtp)) as server:
        write(f"IMAP on port {server.imap_port}, SMTP on port {server.smtp_port}; address, login and password:")
        for address, (login, password) in DEMO_ACCOUNTS.items():
            write(f"  {address}  {login}  {password}")
        await stop.wait()


if __name__ == "__main__":
    main()
