"""The model's file: what is read is what was written, and a bad file is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailbox_service.sorting.model import Model, ModelError, dumps, loads, shipped
from mailbox_service.sorting.train import __main__ as train

MODEL = Model({"bias": -1.0, "w:é": 0.5, "b:a b": 0.25}, {"bias": 0.0}, {"spam bias": 1.5}, {"security open": 0.7})
DATA = Path(__file__).parent.parent / "data"


def test_what_is_written_is_read_again() -> None:
    assert loads(dumps(MODEL)) == MODEL


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no model"),
        ("something else\n", "no model"),
        (dumps(MODEL).replace("model 1", "model 2", 1), "another version"),
        (dumps(MODEL)[:-30], "cut short"),
        (dumps(MODEL).replace("0.25", "0.26"), "cut short or changed"),
        ("\n".join(dumps(MODEL).split("\n")[:4]), "cut short"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        loads(text)


def test_the_shipped_model_holds_no_addresses_and_stays_small() -> None:
    model = shipped()
    assert len(model.segment) > 5_000
    assert len(dumps(model)) < 2_000_000
    names = [*model.segment, *model.spam]
    assert not [name for name in names if "@" in name or "://" in name]


def test_training_twice_makes_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for name in ("one", "two"):
        model, card = tmp_path / f"{name}.txt", tmp_path / f"{name}.md"
        train.main(["--set", str(DATA / "sorting" / "mailbox.jsonl"), "--model", str(model), "--card", str(card)])
        made.append((model.read_bytes(), card.read_bytes()))
    assert made[0] == made[1]
    assert "reports missed" in capsys.readouterr().out
    assert loads(made[0][0].decode()).thresholds["not_security balanced"] > 0
