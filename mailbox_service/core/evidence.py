"""What proves who wrote a message. A From line alone proves nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from mailbox_service.core.message import ParsedMessage
from mailbox_service.core.message.fields import HEADER_VALUE_CHARS

_HEADER = "authentication-results"
# A server reports some ten methods with some five properties each; every one is four tokens.
_TOKENS = 1_000
_COMMENT_PIECE = re.compile(r"[()\\]")
_UNQUOTE = re.compile(r"\\(.)", re.DOTALL)
# RFC 8601 §2.2. A pvalue may also be an address, and servers leave out the quotes that RFC 2045 asks for around
# selectors and base64, so atoms are wider than tokens; but never quotes, parentheses, commas or semicolons
# (espoofer A4 to A7).
_TOKEN = re.compile(
    r'(?P<blank>[ \t\r\n]+)|"(?P<quoted>(?:[^"\\\r\n]++|\\[ -~])*+)"|(?P<mark>[;=])'
    r"|(?P<atom>[!#$%&*+\-./0-9:?@A-Z^_`a-z{|}~]+)"
)
# Behind a "=" the text may hold more of them: `smtp.mailfrom=bounces+ann=example.org@lists.example`.
_VALUE = re.compile(r"[!#$%&*+\-./0-9:?@A-Z^_`a-z{|}~][!#$%&*+\-./0-9:?@A-Z^_`a-z{|}~=]*")
_VERSION = re.compile(r"[0-9]{1,3}")
_KEYWORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_PROPERTY = re.compile(r"[A-Za-z0-9-]+\.[A-Za-z0-9_.-]+")
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class AuthResult(StrEnum):
    PASS = "pass"  # noqa: S105 - a result, no password
    FAIL = "fail"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Authentication:
    """How well the From address is authenticated, and by what (RFC 8601, RFC 7489 §3.1)."""

    result: AuthResult
    method: str  # "dmarc", "dkim" (aligned), or "" for none
    reason: str  # one short constant text, for the journal and the notice


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One `method=result` with its properties (`header.d` and the like, names in lower case), RFC 8601 §2.2."""

    method: str
    result: str
    properties: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        return [v for n, v in self.properties if n == name]


def authenticate(message: ParsedMessage, authserv_id: str | None) -> Authentication:
    """What the trusted Authentication-Results header says of the From address.

    Trusted is the topmost such header alone, and only when `authserv_id` (any case) wrote it; None trusts no server.
    """
    if message.from_ is None:
        return Authentication(AuthResult.FAIL, "", "no single clean From address")
    if authserv_id is None:
        return Authentication(AuthResult.NONE, "", "no trusted server configured")
    value = message.header(_HEADER)
    if value is None:
        return Authentication(AuthResult.NONE, "", "no Authentication-Results header")
    read = parse_results(value)
    if read is None:
        return Authentication(AuthResult.NONE, "", "malformed Authentication-Results header")
    written_by, results = read
    if written_by.lower() != authserv_id.lower():
        return Authentication(AuthResult.NONE, "", "topmost Authentication-Results header is not of the trusted server")
    return _judge(message.from_.domain, results)


def _judge(domain: str, results: list[MethodResult]) -> Authentication:
    dmarc = [r for r in results if r.method == "dmarc"]
    # Of several verdicts the worst counts: a message has one From, so only an injected one can be better.
    if any(r.result == "fail" for r in dmarc):
        return Authentication(AuthResult.FAIL, "dmarc", "DMARC failed")
    named = [v.lower() for r in dmarc for v in r.values("header.from")]
    if any(name != domain for name in named):
        return Authentication(AuthResult.NONE, "", "DMARC result is for another domain")
    if dmarc and len(named) == len(dmarc) and all(r.result == "pass" for r in dmarc):
        return Authentication(AuthResult.PASS, "dmarc", "DMARC passed")
    if any(r.method == "dkim" and r.result == "pass" and _aligned(r, domain) for r in results):
        return Authentication(AuthResult.PASS, "dkim", "aligned DKIM signature passed")
    return Authentication(AuthResult.NONE, "", "no passing result for the From domain")


def _aligned(result: MethodResult, domain: str) -> bool:
    """Is the signing domain of the same organisational domain as the From (relaxed, RFC 7489 §3.1.1)?"""
    signers = result.values("header.d") or [v.rpartition("@")[2] for v in result.values("header.i")]
    if len(signers) != 1:
        return False
    signer = signers[0].lower()
    if not _DOMAIN.fullmatch(signer):
        return False
    if signer == domain:
        return True
    organisation = organisational_domain(domain)
    return organisation is not None and organisational_domain(signer) == organisation


@lru_cache(maxsize=1024)
def organisational_domain(domain: str) -> str | None:
    """The registered domain above `domain` (RFC 7489 §3.2); None for a public suffix itself."""
    found: str | None = _suffix_list().privatesuffix(domain)
    return found


@lru_cache(maxsize=1)
def _suffix_list():  # type: ignore[no-untyped-def]  # the package has no types
    # 130 ms and 4 MB: loaded with the first message that needs it, not with the daemon. The private suffixes
    # (duckdns.org) count too: customers of one must not sign for each other, and each sets its own DNS records.
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def parse_results(value: str) -> tuple[str, list[MethodResult]] | None:
    """The authserv-id and the results of an Authentication-Results value; None for any syntax error (RFC 8601 §2.2)."""
    if len(value) >= HEADER_VALUE_CHARS or not value.isascii():
        return None
    tokens = _tokens(value)
    if tokens is None:
        return None
    sections: list[list[tuple[str, str]]] = [[]]
    for kind, text in tokens:
        if (kind, text) == ("mark", ";"):
            sections.append([])
        else:
            sections[-1].append((kind, text))
    if len(sections) > 1 and not sections[-1]:
        sections.pop()  # several servers end the list with a semicolon
    head, *rest = sections
    if not head or head[0][0] == "mark" or len(head) > 2 or not rest:
        return None
    if len(head) == 2 and not _VERSION.fullmatch(head[1][1]):
        return None
    if rest == [[("atom", "none")]]:
        return head[0][1], []
    results = [_result(section) for section in rest]
    known = [r for r in results if r is not None]
    return (head[0][1], known) if len(known) == len(results) else None


def _tokens(value: str) -> list[tuple[str, str]] | None:
    """Marks, atoms and quoted strings; comments and blanks dropped. None when something else stands there."""
    tokens: list[tuple[str, str]] = []
    position = 0
    apart = True  # two words need a blank, a comment or a mark between them
    while position < len(value):
        if value[position] == "(":
            position = _comment_end(value, position + 1)
            apart = True
            if not position:
                return None
            continue
        found = _VALUE.match(value, position) if tokens and tokens[-1] == ("mark", "=") else None
        kind = "atom"
        if found is None:
            found = _TOKEN.match(value, position)
            kind = str(found.lastgroup) if found else ""
        if found is None or len(tokens) >= _TOKENS:
            return None
        position = found.end()
        if kind == "blank":
            apart = True
            continue
        if kind != "mark" and not apart:
            return None
        apart = kind == "mark"
        text = found["quoted"] if kind == "quoted" else found[0]
        tokens.append((kind, _UNQUOTE.sub(r"\1", text) if kind == "quoted" and "\\" in text else text))
    return tokens


def _comment_end(value: str, position: int) -> int:
    """Behind the comment whose inside begins at `position`, 0 when it does not end."""
    depth = 1
    while depth:
        found = _COMMENT_PIECE.search(value, position)
        if found is None:
            return 0
        position = found.end()
        if found[0] == "\\":
            position += 1
        else:
            depth += 1 if found[0] == "(" else -1
    return position


def _result(tokens: list[tuple[str, str]]) -> MethodResult | None:
    """`method[/version]=result [reason=...] [ptype.property=pvalue ...]`; None when the section is anything else."""
    if not tokens or len(tokens) % 3:
        return None
    pairs: list[tuple[str, str]] = []
    for i in range(0, len(tokens), 3):
        (name_kind, name), mark, (value_kind, value) = tokens[i : i + 3]
        if name_kind != "atom" or mark != ("mark", "=") or value_kind == "mark":
            return None
        if i and name.lower() != "reason" and name.lower() != "action" and not _PROPERTY.fullmatch(name):
            return None
        pairs.append((name.lower(), value))
    method, _, version = pairs[0][0].partition("/")
    if not _KEYWORD.fullmatch(method) or (version and not _VERSION.fullmatch(version)):
        return None
    if tokens[2][0] != "atom" or not _KEYWORD.fullmatch(pairs[0][1]):
        return None
    return MethodResult(method, pairs[0][1].lower(), tuple(pairs[1:]))
