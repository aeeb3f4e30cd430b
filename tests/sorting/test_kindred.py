"""Groups of kindred words: made of vectors, written, and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mailbox_service.sorting.train.kindred import grouped, read

ROOT = Path(__file__).parents[2]


def test_words_with_near_vectors_come_into_one_group_and_near_groups_into_one_wide_group(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    middles = {"link": [9, 1, 0, 0], "address": [9, 0, 1, 0], "money": [0, 0, 1, 9], "invoice": [0, 1, 0, 9]}
    words = [f"{name}{n}" for n in range(20) for name in middles]
    vectors = np.array([middles[word.rstrip("0123456789")] + chance.normal(0, 0.05, 4) for word in words])
    path = tmp_path / "kindred.txt"
    path.write_text("# a comment\n" + grouped(words, vectors, 4, 2))
    kindred = read(path)
    assert (kindred.narrow, kindred.wide, len(kindred.of)) == (4, 2, 80)
    for name in middles:
        assert len({kindred.of[f"{name}{n}"] for n in range(20)}) == 1
    wide = {name: kindred.of[f"{name}0"][1] for name in middles}
    assert wide["link"] == wide["address"] != wide["money"] == wide["invoice"]


def test_the_groups_in_use_hold_each_word_once_and_words_of_many_languages_together() -> None:
    lines = [line for line in (ROOT / "training" / "kindred.txt").read_text("utf-8").splitlines() if line[0] != "#"]
    words = [word for line in lines for word in line.partition("\t")[2].split(" ")]
    assert len(words) == len(set(words)) > 200_000
    kindred = read(ROOT / "training" / "kindred.txt")
    assert kindred.of["questions"][0] == kindred.of["preguntas"][0]
    assert kindred.of["attempt"][0] == kindred.of["intento"][0]
