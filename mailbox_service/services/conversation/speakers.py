"""Who speaks in a case, and what proves it. The roster is the configuration's at this very moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mailbox_service.core.authority import Demand, Evidence
from mailbox_service.core.case import Actor, Party
from mailbox_service.services.mailboxes import Mailbox, Maintainer
from mailbox_service.services.ports import CaseRecord, KnownOutbound
from mailbox_service.services.understanding import Understood

# The role of a mail to an address that is to become a reporter's second one.
CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Speaker:
    """One person of a case. `party` is None for an invited one, who may add to the case and nothing else."""

    party: Party | None
    name: str  # a maintainer's; empty for others
    address: str
    evidence: Evidence
    signed_by: str = ""  # the fingerprint of the key that proves it (P)
    unsigned: str = ""  # why no signature does, for the person
    seconded_by: str = ""  # the other maintainer who confirmed it

    @property
    def actor(self) -> Actor:
        """As the rules of the case know them."""
        return Actor(self.party or Party.REPORTER, self.name)

    @property
    def role(self) -> str:
        """As the outbox knows whom a mail is for."""
        return "participant" if self.party is None else self.party.value


def speaker_of(
    understood: Understood, mailbox: Mailbox, record: CaseRecord | None, answered: KnownOutbound
) -> Speaker | None:
    """Who wrote a message that names `answered`, a mail of ours to its From; None where they are no longer one of us.

    The part in which they speak is that of the mail they answer: a maintainer who reported something is its reporter
    there, and a maintainer in every other case.
    """
    address = understood.sender_key
    if not address or answered.recipient.lower() != address:
        return None
    evidence = Evidence(True, understood.authentication, obtainable(understood, mailbox))
    if answered.role == Party.MAINTAINER:
        one = next((m for m in mailbox.maintainers if m.address.lower() == address), None)
        if one is None:
            return None
        return Speaker(Party.MAINTAINER, one.name, address, replace(evidence, demand=demand_of(mailbox, one)))
    if record is None:
        return None
    if answered.role == Party.REPORTER and address in {one.lower() for one in record.state.reporters}:
        return Speaker(Party.REPORTER, "", address, evidence)
    if answered.role == CANDIDATE:
        # Asked whether the address shall be added: it may answer that, and nothing else.
        return Speaker(None, "", address, evidence)
    if answered.role == "participant" and address in {one.lower() for one in record.state.participants}:
        return Speaker(None, "", address, evidence)
    return None


def demand_of(mailbox: Mailbox, maintainer: Maintainer) -> Demand:
    """How much is asked of a maintainer."""
    if mailbox.strict:
        return Demand.STRICT
    return Demand.SIGNED if maintainer.signed_only else Demand.STANDARD


def obtainable(understood: Understood, mailbox: Mailbox) -> bool:
    """Whether an authenticated From can be had of this mailbox and this sender at all (evidence M)."""
    signed = understood.message.header("dkim-signature") is not None
    return mailbox.authserv_id is not None or (mailbox.dkim and signed)
