"""What was encrypted or signed once counts once: under another message it is neither opened nor a proof.

Whoever got hold of a ciphertext sends it to us in their own name, to be shown what is in it or to learn of it by what
we do; whoever got hold of a signed mail sends it to another case. What such a mail causes is the same in all other
respects, so that nothing tells its sender that it was recognised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mailbox_service.services.ports import MessageId, Transaction
from mailbox_service.services.understanding import Understood


def told_apart(tx: Transaction, batch: Sequence[Understood]) -> list[Understood]:
    """The batch, with what came before taken for what it is; what comes first is recorded as such."""
    came: dict[str, list[tuple[str, MessageId]]] = defaultdict(list)
    for u in batch:
        if u.content is not None and u.content.data_digest:
            came[u.claim.mailbox].append((u.content.data_digest, u.claim.id))
    first = {
        (mailbox, digest): message
        for mailbox in sorted(came)
        for digest, message in tx.add_ciphertexts(mailbox, came[mailbox]).items()
    }
    return [_told_apart(tx, u, first) for u in batch]


def _told_apart(tx: Transaction, u: Understood, first: dict[tuple[str, str], MessageId]) -> Understood:
    content = u.content
    if content is None:
        return u
    message = first.get((u.claim.mailbox, content.data_digest), u.claim.id)
    if message != u.claim.id and content.first != message:
        content = content.said_before(message)
    if content.signed_digest and not tx.burn(u.claim.mailbox, content.signed_digest, u.claim.id):
        used = tx.burned_by(u.claim.mailbox, content.signed_digest)
        content = content.signed_before(used or u.claim.id)
    return u if content is u.content else replace(u, content=content)
