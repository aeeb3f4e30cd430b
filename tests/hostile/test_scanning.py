"""Searches in steps find what the plain ones find, wherever a step ends."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailbox_service.core.message import scanning

few = st.binary(max_size=60) | st.text("ab\r\n-", max_size=60).map(str.encode)
fixture_once = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "STEP_BYTES", 5)


@fixture_once
@given(few, st.sampled_from([b"\n", b"a", b"\n--b", b"\n\r\n", b"ab", b"abab"]), st.integers(0, 20), st.integers(0, 60))
def test_finding(buf: bytes, needle: bytes, start: int, end: int) -> None:
    assert scanning.find(buf, needle, start, end) == buf.find(needle, start, end)


@fixture_once
@given(few, st.sampled_from([b"\n", b"=", b"a\r\n", b"ab"]), st.integers(0, 20), st.integers(0, 60))
def test_counting(buf: bytes, needle: bytes, start: int, end: int) -> None:
    assert scanning.count(buf, needle, start, end) == buf.count(needle, start, end)


@fixture_once
@given(few)
def test_replacing(buf: bytes) -> None:
    assert scanning.replaced(buf, b"\r", b"\n") == buf.replace(b"\r", b"\n")


@fixture_once
@given(few, st.integers(0, 20), st.integers(0, 60))
def test_searching(buf: bytes, start: int, end: int) -> None:
    pattern = re.compile(rb"\n\r{0,3}+\n")
    stepped, plain = scanning.search(pattern, 5, buf, start, end), pattern.search(buf, start, end)
    assert (stepped and stepped.span()) == (plain and plain.span())
