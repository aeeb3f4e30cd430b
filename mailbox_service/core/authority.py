"""Who may do what by mail: how much proof of its author each command needs (docs/security.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mailbox_service.core.commands import Weight
from mailbox_service.core.evidence import Authentication, AuthResult


class Permission(StrEnum):
    """What follows from a weight and the proof there is; in the order of how little is allowed."""

    DO = "do"
    CONFIRM = "confirm"  # the registered address is asked first
    UNVERIFIED = "unverified"  # kept and shown as nobody's word for sure; nothing is done and nobody answered


class Demand(StrEnum):
    """How much the configuration asks of a person before a mail of theirs counts."""

    STANDARD = "standard"
    SIGNED = "signed"  # nothing less than a signature (a maintainer's `signed_only`)
    STRICT = "strict"  # the same for all but looking, and a second person's for what cannot be undone


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves who wrote a mail. The kinds are those of docs/security.md: P, T, M, C."""

    token: bool  # T: it answers a mail of ours that went to this very address
    authentication: Authentication  # M, where it passed
    obtainable: bool  # whether M can be had at all: else C stands in for it
    confirmed: bool = False  # C: a question sent to the registered address was answered
    on_host: bool = False  # not by mail at all: whoever may run commands on the host may do everything
    signature: bool = False  # P: signed by the key that is pinned to them, for the first time, since the answered mail
    seconded: bool = False  # another maintainer has confirmed it with P
    demand: Demand = Demand.STANDARD

    @property
    def authenticated(self) -> bool:
        """M."""
        return self.authentication.result is AuthResult.PASS

    @property
    def proven(self) -> bool:
        """Whether the mail is theirs for sure, as far as that can be known without asking."""
        return self.signature or (self.authenticated and self.demand is Demand.STANDARD)

    @property
    def disowned(self) -> bool:
        """Whether the From is somebody else's: its domain says so, and no signature says otherwise."""
        return self.authentication.result is AuthResult.FAIL and not self.signature

    @property
    def label(self) -> str:
        """`T+M`, as the journal names it; `none` for no proof. P2 is a second maintainer's signature."""
        if self.on_host:
            return "host"
        kinds = (
            ("P", self.signature),
            ("T", self.token),
            ("M", self.authenticated),
            ("C", self.confirmed),
            ("P2", self.seconded),
        )
        return "+".join(kind for kind, there in kinds if there) or "none"


def permission(weight: Weight, evidence: Evidence) -> Permission:
    """What the proof allows. A From that failed authentication is somebody else's: not even a question goes out."""
    if evidence.on_host:
        return Permission.DO
    if not evidence.token or evidence.disowned:
        return Permission.UNVERIFIED
    if evidence.signature:
        alone = evidence.demand is not Demand.STRICT or weight is not Weight.IRREVERSIBLE
        return Permission.DO if alone or evidence.seconded else Permission.CONFIRM
    if evidence.demand is Demand.SIGNED or (evidence.demand is Demand.STRICT and weight is not Weight.READ):
        return Permission.UNVERIFIED
    known = evidence.authenticated or (evidence.confirmed and not evidence.obtainable)
    match weight:
        case Weight.NOTE:
            return Permission.DO if known or evidence.confirmed else Permission.UNVERIFIED
        case Weight.READ | Weight.REVERSIBLE:
            return Permission.DO if known or evidence.confirmed else Permission.CONFIRM
        case Weight.IRREVERSIBLE:
            if known and evidence.confirmed:
                return Permission.DO
            # Asked and answered, and still nobody's word for sure: asking again would change nothing.
            return Permission.UNVERIFIED if evidence.confirmed else Permission.CONFIRM


def least(weights: Iterable[Weight], evidence: Evidence) -> Permission:
    """What all commands of one mail together are allowed: no more than the heaviest of them."""
    order = list(Permission)
    return max((permission(weight, evidence) for weight in weights), key=order.index, default=Permission.DO)
