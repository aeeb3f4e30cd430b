"""The model's files: what is read is what was written, and bad files are refused with their reason."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from mailbox_service.sorting.learned.features import RUN_BUCKETS, runs, word_hash
from mailbox_service.sorting.learned.model import Model, ModelError, Words, dumps, loads, shipped
from mailbox_service.sorting.train import __main__ as train

ROOT = Path(__file__).parents[2]
OLD_SET = ROOT / "tests" / "data" / "sorting" / "mailbox.jsonl"


def words(known: dict[str, tuple[int, int]]) -> Words:
    hashes = sorted((word_hash(word), *weights) for word, weights in known.items())
    tables = [array("b", [row[part] for row in hashes]) for part in (1, 2)]
    run_tables = array("b", [1] * RUN_BUCKETS), array("b", [0] * RUN_BUCKETS)
    return Words(array("I", [row[0] for row in hashes]), tables[0], tables[1], run_tables)


WORDS = words({"é": (50, -3), "link": (-127, 127)})
MODEL = Model({"bias": -1.0, "idea: é": 0.5}, {"bias": 0.0}, {"spam bias": 1.5}, {"security open": 0.7}, WORDS)
TEXT, DATA = dumps(MODEL)


def test_what_is_written_is_read_again() -> None:
    model = loads(TEXT, DATA)
    assert dumps(model) == (TEXT, DATA)
    assert (model.report, model.thresholds) == (MODEL.report, MODEL.thresholds)
    assert [model.words.weights(word) for word in ("é", "link")] == [(0.5, -0.03), (-1.27, 1.27)]


def test_a_word_that_is_not_known_weighs_what_its_runs_of_letters_do() -> None:
    assert not WORDS.known("links")
    assert WORDS.weights("links") == pytest.approx((0.002 * len(runs("links")), 0))


def test_runs_weigh_both_ways_each_by_itself() -> None:
    tables = [array("b", (number * step % 256 - 128 for number in range(RUN_BUCKETS))) for step in (37, 101)]
    no_words = Words(array("I"), array("b"), array("b"), (tables[0], tables[1]))
    for word in ("links", "a", "漏洞", "0x4de50a39", "x" * 40):
        wanted = [0.002 * sum(table[bucket] for bucket in runs(word)) for table in tables]
        assert no_words.weights(word) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        ("", DATA, "no model"),
        ("something else\n", DATA, "no model"),
        (TEXT.replace("model 3", "model 4", 1), DATA, "another version"),
        (TEXT[:-30], DATA, "cut short"),
        (TEXT.replace("0.7", "0.6"), DATA, "cut short or changed"),
        (TEXT, DATA[:-1], "cut short or changed"),
        (TEXT, DATA[:-1] + b"\1", "cut short or changed"),
    ],
)
def test_bad_files_are_refused_with_their_reason(text: str, data: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        loads(text, data)


def test_the_shipped_model_holds_no_addresses_and_stays_small() -> None:
    model = shipped()
    assert len(model.report) > 500
    assert sum(map(len, dumps(model))) < 3_000_000
    assert not [name for name in (*model.report, *model.spam) if "@" in name or "://" in name]


def test_training_twice_makes_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kindred = tmp_path / "kindred.txt"
    kindred.write_text("# few\n0\tlink lien enlace\n0\tinvoice rechnung\n1\tquote angebot\n")
    made = []
    for name in ("one", "two"):
        out = tmp_path / name
        out.mkdir()
        options = ["--set", str(OLD_SET), "--kindred", str(kindred), "--out", str(out), "--card", str(out / "card.md")]
        train.main(options)
        made.append([(out / file).read_bytes() for file in ("model.txt", "words.bin", "card.md")])
    assert made[0] == made[1]
    assert "reports missed" in capsys.readouterr().out
    assert loads(made[0][0].decode(), made[0][1]).thresholds["not_security balanced"] > 0
