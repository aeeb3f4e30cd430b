"""What was encrypted or signed in mails before (services.ports.openpgp.Seen)."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from mailbox_service.adapters.database.sql import Sql
from mailbox_service.adapters.database.tables import ciphertext, signed
from mailbox_service.services.ports import MessageId


class SeenSql(Sql):
    """The first row of a digest stays for ever; the key of the table decides between two at once."""

    def ciphertexts(self, mailbox: str, digests: Sequence[str]) -> dict[str, MessageId]:
        found = self.connection.execute(
            sa.select(ciphertext.c.data_digest, ciphertext.c.message_id).where(
                ciphertext.c.mailbox == mailbox, ciphertext.c.data_digest.in_(sorted(set(digests)))
            )
        )
        return {row.data_digest: MessageId(row.message_id) for row in found}

    def add_ciphertexts(self, mailbox: str, came: Sequence[tuple[str, MessageId]]) -> dict[str, MessageId]:
        if not came:
            return {}
        first: dict[str, MessageId] = {}
        for digest, message in came:
            first.setdefault(digest, message)
        # In one order, so that two workers never wait for each other.
        rows = [{"mailbox": mailbox, "data_digest": digest, "message_id": first[digest]} for digest in sorted(first)]
        self.connection.execute(self.or_leave(ciphertext), rows)
        return self.ciphertexts(mailbox, list(first))

    def burn(self, mailbox: str, digest: str, message: MessageId) -> bool:
        row = {"mailbox": mailbox, "digest": digest, "message_id": message}
        self.connection.execute(self.or_leave(signed), [row])
        return self.burned_by(mailbox, digest) == message

    def burned_by(self, mailbox: str, digest: str) -> MessageId | None:
        query = sa.select(signed.c.message_id).where(signed.c.mailbox == mailbox, signed.c.digest == digest)
        found = self.connection.scalar(query)
        return None if found is None else MessageId(found)
