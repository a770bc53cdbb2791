"""Chapters find the committed results from wherever they run."""

import pytest

import bookkit


def test_found_beside_and_above(tmp_path, monkeypatch):
    file = tmp_path / "results" / "study.jsonl"
    file.parent.mkdir()
    file.touch()
    inner = tmp_path / "_build" / "executed"
    inner.mkdir(parents=True)
    for folder in (tmp_path, inner):
        monkeypatch.chdir(folder)
        assert bookkit.results("study") == file


def test_missing_results_say_where_they_were_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"results/study.jsonl in {tmp_path}"):
        bookkit.results("study")
