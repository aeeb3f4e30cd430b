"""The facts of a case: what is taken, in which spelling, and what is refused with which words."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from cvss import CVSS3, CVSS4
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core import cvss
from mailbox_service.core.case import Fact, Facts, NotAFact, facts

BERLIN = ZoneInfo("Europe/Berlin")
V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
V31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (V4, V4),
        (V31, V31),
        (V31.replace("3.1", "3.0"), V31.replace("3.1", "3.0")),
        (V4.lower(), V4),
        (f"({V4})", V4),
        (f"{V4}/E:P/U:clear", f"{V4}/E:P/U:Clear"),
        # Another order is put right, and what is not defined left out.
        (f"{V4}/MSI:S/CR:H/E:X", f"{V4}/CR:H/MSI:S"),
        ("CVSS:3.1/A:H/I:H/C:H/S:U/UI:N/PR:N/AC:L/AV:N", V31),
    ],
)
def test_a_vector_has_one_spelling(written: str, read: str) -> None:
    assert facts.severity(written) == read
    assert cvss.vector(read) == read


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("9.8", "begins with CVSS:4.0/"),
        ("high", "begins with CVSS:4.0/"),
        ("CVSS:2.0/AV:N/AC:L/Au:N/C:P/I:P/A:P", "begins with CVSS:4.0/"),
        (V31.replace("/A:H", ""), "lacks A"),
        (V4.replace("/AT:N", "").replace("/SA:N", ""), "lacks AT, SA"),
        (f"{V4}/AV:N", "AV stands twice"),
        (V4.replace("VC:H", "VC:M"), "VC is one of H, L, N"),
        (f"{V4}/SI:S", "SI is one of H, L, N"),
        (f"{V4}/RL:O", "no metric of its version"),
        (f"{V4}//", "twice|no metric"),
        (V4 + "/E:X" * 200, "begins with"),
    ],
)
def test_what_is_no_vector_is_refused_with_the_reason(written: str, why: str) -> None:
    if written.endswith("//"):
        assert cvss.vector(written) == V4  # slashes at the end are a client's
        return
    with pytest.raises(NotAFact, match=why):
        facts.severity(written)


@given(st.sampled_from(sorted(cvss._VERSIONS)), st.data())
def test_what_is_a_vector_is_one_for_the_library_that_scores_it(version: str, data: st.DataObject) -> None:
    metrics, required = cvss._VERSIONS[version]
    optional = data.draw(st.sets(st.sampled_from(list(metrics)[required:])))
    names = data.draw(st.permutations([*list(metrics)[:required], *optional]))
    pieces = [f"{name}:{data.draw(st.sampled_from(metrics[name]))}" for name in names]
    vector = cvss.vector("/".join([f"CVSS:{version}", *pieces]))
    library = CVSS4(vector) if version == "4.0" else CVSS3(vector)
    assert sorted(library.clean_vector().split("/")) == sorted(vector.split("/"))


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_vectors(text: str) -> None:
    for prefix in ("", "CVSS:4.0/", f"{V4}/"):
        try:
            vector = cvss.vector(prefix + text)
        except cvss.NoVector:
            continue
        assert cvss.vector(vector) == vector


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-12-24", "2026-12-24T13:00"),
        ("2026-12-24 14:00", "2026-12-24T13:00"),
        ("2026-12-24 14.30", "2026-12-24T13:30"),
        ("2026-12-24 2pm UTC", None),
        ("2026-12-24 2:00pm UTC", "2026-12-24T14:00"),
        ("2026-12-24 2:00 pm UTC", "2026-12-24T14:00"),
        ("2026-12-24 12:00 a.m. UTC", None),
        ("2026-12-24 12:00am Z", "2026-12-24T00:00"),
        ("2026-12-24 14:00:00 +02:00", "2026-12-24T12:00"),
        ("2026-12-24 14:00 UTC-5", "2026-12-24T19:00"),
        ("2026-12-24 14:00 UTC -5", "2026-12-24T19:00"),
        ("2026-12-24 +0530", "2026-12-24T08:30"),
        ("2026-12-24 14:00 America/New_York", "2026-12-24T19:00"),
        ("2026-07-01 14:00", "2026-07-01T12:00"),
        ("24.12.2026 14:00", "2026-12-24T13:00"),
        ("2026-12-24 UTC", "2026-12-24T14:00"),
    ],
)
def test_a_moment_becomes_utc(written: str, utc: str | None) -> None:
    if utc is None:
        with pytest.raises(NotAFact):
            facts.moment(written, BERLIN)
        return
    assert facts.moment(written, BERLIN) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "is written 2026-12-24"),
        ("tomorrow", "is written 2026-12-24"),
        ("12/24/2026", "is written 2026-12-24"),
        ("2026-02-30", "no such day"),
        ("1026-02-03", "no such day"),
        ("2026-12-24 25:00", "time is written 14:00"),
        ("2026-12-24 13:00pm", "time is written 14:00"),
        ("2026-12-24 14:00 CST", "abbreviations|zone is written"),
        ("2026-12-24 14:00 +25:00", "zone is written"),
        ("2026-12-24 14:00 Europe/Nowhere", "zone is written"),
        ("2026-12-24 14:00 ../../etc/passwd", "zone is written"),
        ("2026-03-29 02:30", "skip this time"),
        ("2026-10-25 02:30", "twice on that day"),
    ],
)
def test_a_moment_that_cannot_be_meant_is_refused(written: str, why: str) -> None:
    with pytest.raises(NotAFact, match=why):
        facts.moment(written, BERLIN)


@given(st.text(max_size=40), st.sampled_from(["", "2026-12-24 ", "2026-12-24 14:00 "]))
def test_no_text_breaks_the_reader_of_moments(text: str, begin: str) -> None:
    try:
        assert facts.moment(begin + text, UTC).tzinfo is UTC
    except NotAFact:
        pass


def test_the_last_moment_of_a_zone_far_east_is_no_error() -> None:
    assert facts.moment("2199-12-31 23:59 -14:00", UTC).year == 2200
    assert facts.moment("2000-01-01 00:00 +14:00", UTC).year == 1999


@pytest.mark.parametrize(
    ("fact", "written", "read"),
    [
        (Fact.CVE, "cve-2026-12345", "CVE-2026-12345"),
        (Fact.CREDIT, "  Jane   Doe <https://jane.example> ", "Jane Doe <https://jane.example>"),
        (Fact.CREDIT, "Anonymous.", ""),
        (Fact.AFFECTS, "4.0.0 to 4.38.0", "4.0.0 to 4.38.0"),
        (Fact.FIXED, "4.38.1, 4.37.9", "4.38.1, 4.37.9"),
        (Fact.ADVISORY, "<https://example.org/a?b=c#d>", "https://example.org/a?b=c#d"),
    ],
)
def test_facts_are_read(fact: Fact, written: str, read: str) -> None:
    assert facts.READERS[fact](written) == read


@pytest.mark.parametrize(
    ("fact", "written"),
    [
        (Fact.CVE, "CVE-26-1"),
        (Fact.CVE, "CVE-0000-12345"),
        (Fact.CVE, "2026-12345"),
        (Fact.CREDIT, " \u200b "),
        (Fact.CREDIT, "x" * 501),
        (Fact.ADVISORY, "javascript:alert(1)"),
        (Fact.ADVISORY, "https://example.org/a b"),
        (Fact.ADVISORY, "https://example.org/<b>"),
    ],
)
def test_what_is_no_fact_is_refused(fact: Fact, written: str) -> None:
    with pytest.raises(NotAFact):
        facts.READERS[fact](written)


@pytest.mark.parametrize("text", ["", "next", "4.38.1 now", "v"])
def test_a_version_is_one_word_with_a_number(text: str) -> None:
    assert facts.version(" v4.38.1-rc1+build.5 ") == "v4.38.1-rc1+build.5"
    with pytest.raises(NotAFact):
        facts.version(text)


def test_a_fact_has_its_type() -> None:
    with pytest.raises(TypeError):
        facts.recorded(Facts(), Fact.EMBARGO, "tomorrow")
    with pytest.raises(TypeError):
        facts.recorded(Facts(), Fact.CVE, datetime(2026, 12, 24, tzinfo=UTC))
