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


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves who wrote a mail. The kinds are those of docs/security.md: T, M, C; P comes with signatures."""

    token: bool  # T: it answers a mail of ours that went to this very address
    authentication: Authentication  # M, where it passed
    obtainable: bool  # whether M can be had at all: else C stands in for it
    confirmed: bool = False  # C: a question sent to the registered address was answered
    on_host: bool = False  # not by mail at all: whoever may run commands on the host may do everything

    @property
    def authenticated(self) -> bool:
        """M."""
        return self.authentication.result is AuthResult.PASS

    @property
    def label(self) -> str:
        """`T+M`, as the journal names it; `none` for no proof."""
        if self.on_host:
            return "host"
        kinds = (("T", self.token), ("M", self.authenticated), ("C", self.confirmed))
        return "+".join(kind for kind, there in kinds if there) or "none"


def permission(weight: Weight, evidence: Evidence) -> Permission:
    """What the proof allows. A From that failed authentication is somebody else's: not even a question goes out."""
    if evidence.on_host:
        return Permission.DO
    if not evidence.token or evidence.authentication.result is AuthResult.FAIL:
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
