"""Bodies and fields as they are signed, beside dkimpy's, which is slow on hostile ones and right on all."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from mailbox_service.core.dkim import canonical
from mailbox_service.core.dkim.canonical import body_digest, canonical_field

# What canonicalization is about, and little else.
BODIES = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"a", b"bc"]), max_size=30).map(b"".join)


def as_dkimpy(body: bytes, *, relaxed: bool) -> bytes:
    policy = Relaxed if relaxed else Simple
    digest: bytes = hashlib.sha256(policy.canonicalize_body(body)).digest()
    return digest


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_a_body_is_hashed_as_by_dkimpy_however_it_is_cut(
    relaxed: bool, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canonical, "STEP_BYTES", step)

    @given(body=BODIES)
    def check(body: bytes) -> None:
        body += b"\r\n"
        assert body_digest(b"Head" + body, 4, relaxed=relaxed) == as_dkimpy(body, relaxed=relaxed)

    check()


@given(body=BODIES.map(lambda body: body.replace(b"\r\n", b"\n").replace(b"\r", b"")), relaxed=st.booleans())
def test_line_ends_of_one_byte_make_no_difference(body: bytes, relaxed: bool) -> None:
    assert body_digest(body, 0, relaxed=relaxed) == body_digest(body.replace(b"\n", b"\r\n"), 0, relaxed=relaxed)


@pytest.mark.parametrize(
    ("body", "relaxed", "signed"),
    [
        # RFC 6376 §3.4.3 to §3.4.5
        (b"", False, b"\r\n"),
        (b"", True, b""),
        (b"\r\n\r\n", False, b"\r\n"),
        (b"\r\n \r\n", True, b""),
        (b" C \r\nD \t E\r\n\r\n\r\n", True, b" C\r\nD E\r\n"),
        (b" C \r\nD \t E\r\n\r\n\r\n", False, b" C \r\nD \t E\r\n"),
        (b"no line end", False, b"no line end\r\n"),
        (b"no line end \t", True, b"no line end\r\n"),
        (b"\r\n\r\nlow", True, b"\r\n\r\nlow\r\n"),
        (b"a \r", True, b"a \r\r\n"),
    ],
)
def test_a_body_as_the_standard_has_it(body: bytes, relaxed: bool, signed: bytes) -> None:
    assert body_digest(body, 0, relaxed=relaxed) == hashlib.sha256(signed).digest()


@given(
    name=st.sampled_from([b"A", b"SubJect"]),
    value=st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\t", b"a", b"B", b":"]), max_size=20).map(b"".join),
    relaxed=st.booleans(),
)
def test_a_field_is_signed_as_by_dkimpy(name: bytes, value: bytes, relaxed: bool) -> None:
    ((expected_name, expected),) = (Relaxed if relaxed else Simple).canonicalize_headers([(name, value + b"\r\n")])
    assert canonical_field(name + b":" + value + b"\r\n", relaxed=relaxed) == expected_name + b":" + expected


@pytest.mark.parametrize("filling", [b" ", b"\n", b" \n", b"\r", b"\t\r", b"a "])
def test_the_worst_bodies_take_no_memory(filling: bytes) -> None:
    body = filling * (8_000_000 // len(filling))
    tracemalloc.start()
    try:
        body_digest(body, 0, relaxed=True)
        body_digest(body, 0, relaxed=False)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
