"""pyproject.toml says what may vary, constraints.txt what the tests have passed with: the two agree."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
OWN_NAME = canonicalize_name(PROJECT["name"])


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = (line.partition("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in pins}


DIRECT = [
    requirement
    for requirement in map(Requirement, [*PROJECT["dependencies"], *(line for e in EXTRAS.values() for line in e)])
    if canonicalize_name(requirement.name) != OWN_NAME
]


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_the_pinned_version_is_one_the_project_allows(requirement: Requirement) -> None:
    pinned = constraints().get(canonicalize_name(requirement.name))
    assert pinned is not None
    assert requirement.specifier.contains(pinned, prereleases=True)


def needed_by(requirement: Requirement, seen: set[tuple[str, str]]) -> None:
    """Add to `seen` all that installing this requirement installs here, as (name, extra)."""
    name = canonicalize_name(requirement.name)
    for extra in ("", *requirement.extras):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            lines = []
        for further in map(Requirement, lines):
            if further.marker is None or further.marker.evaluate({"extra": extra}):
                needed_by(further, seen)


def test_what_the_dependencies_need_is_pinned_too() -> None:
    seen: set[tuple[str, str]] = set()
    for requirement in DIRECT:
        needed_by(requirement, seen)
    assert {name for name, _ in seen} - constraints().keys() == set()


def test_the_test_extra_installs_the_other_extras_too() -> None:
    (own,) = (r for r in map(Requirement, EXTRAS["test"]) if canonicalize_name(r.name) == OWN_NAME)
    assert own.extras == EXTRAS.keys() - {"test"}
