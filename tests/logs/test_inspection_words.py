"""What `inspect` says of masks and packings, in the words of `analyze`."""

import gzip
import json
from pathlib import Path

import pytest
from grpo_prm_cli.main import app
from typer.testing import CliRunner

from grpo_prm.logs import inspect
from grpo_prm.text.masks import in_the_loss

TOOL = {"role": "tool", "content": "a long answer of a tool " * 9}


def chats(masked=True):
    """Two groups of three: an answer, what a tool said, another answer."""
    for p in range(2):
        for k in range(3):
            turns = [{"role": "assistant", "content": f"call {k}"}, *([TOOL] if masked else [])]
            yield {"prompt": f"p{p}", "completion": [*turns, {"role": "assistant", "content": "done"}], "reward": k}


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "400"})


def flat(text):
    return " ".join(text.split())


def test_inspect_and_analyze_say_the_same_of_masks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chats()))
    seen = inspect(path)
    assert 0 < seen.loss_tokens < seen.tokens
    sentence = in_the_loss(seen.tokens, seen.loss_tokens, "piece")
    assert f" pieces, of which {seen.loss_tokens:,} in the loss; tool output and role lines " in sentence
    assert sentence in flat(run("inspect", path).output)
    analyzed = run("analyze", path, "--no-figures", "--full")
    assert flat(analyzed.output).count(sentence) >= 1
    summary = json.loads((tmp_path / "log.prm" / "summary.json").read_text())
    assert summary["counts"]["tokens"] == seen.loss_tokens
    assert summary["counts"]["tokens_masked"] == seen.tokens - seen.loss_tokens


def test_what_is_masked_is_counted_of_the_ids(tmp_path):
    masks = [[1, 0, 0, 1], [True, True], None, [0, 0, 1]]
    rows = [
        {"prompt": "p", "tokens": list(range(4 if m is None else len(m))), "mask": m, "reward": n}
        for n, m in enumerate(masks)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = inspect(tmp_path / "log.jsonl")
    assert (seen.tokens, seen.loss_tokens) == (13, 9)


@pytest.mark.parametrize(
    ("units", "in_loss", "words"),
    [
        (709_009, 140_940, "709,009 pieces, of which 140,940 in the loss; tool output and role lines 80.1 %"),
        (12, 12, "12 pieces, all in the loss"),
        (0, 0, "0 pieces, all in the loss"),
        (100_000, 99_999, "100,000 pieces, of which 99,999 in the loss; tool output and role lines <0.01 %"),
        (5, 0, "5 pieces, of which 0 in the loss; tool output and role lines 100 %"),
    ],
)
def test_the_sentence(units, in_loss, words):
    assert in_the_loss(units, in_loss, "piece") == words


def test_a_log_without_masks_says_that_all_is_in_the_loss(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "log.jsonl.gz"
    rows = [{"prompt": "p", "completion": f"it is {k}", "reward": k} for k in range(3)]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    output = flat(run("inspect", path).output)
    assert "pieces, all in the loss" in output and "log.jsonl.gz (packed: gzip)" in output
    run("analyze", path, "--no-figures")
    assert "tokens_masked" not in (tmp_path / "log.prm" / "summary.json").read_text()


def test_it_says_which_files_of_a_folder_are_left_out(tmp_path):
    rows = [{"prompt": f"p{n // 3}", "completion": f"say {n}", "reward": n % 2} for n in range(6)]
    for name, text in (
        ("train/1.jsonl", rows),
        ("eval/1.jsonl", rows[3:] + rows[:3]),
        ("metrics.jsonl", [{"loss": 1}]),
    ):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text("".join(json.dumps(row) + "\n" for row in text))
    found = inspect(tmp_path / "run")
    assert found.groups == 2 and [Path(name).parent.name for name in found.files] == ["train"]
    said = [note for note in found.notes if note.startswith("Left out, as ")]
    assert said == [
        "Left out, as evaluations are no training rollouts: 1.jsonl. Name them to read them.",
        "Left out, as they are no rollouts: metrics.jsonl.",
    ]


def test_the_prompt_that_is_cut_off_the_rows_is_counted(tmp_path, monkeypatch):
    """The whole row is named, not only what is left of it; groups of one are in `inspect` alone."""
    monkeypatch.chdir(tmp_path)
    groups = [[[1, 2, 3, 9, n, 7] for n in range(3)], [[1, 2, 9, n] for n in range(3)], [[5, 5, 5, 5, 9]]]
    opens = [3, 2, 4]
    rows = [
        {"tokens": ids, "masks": [[-100] * at + one[at:] for one in ids], "scores": list(range(len(ids)))}
        for ids, at in zip(groups, opens, strict=True)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = inspect(tmp_path / "log.jsonl")
    assert (seen.prompt_tokens, seen.tokens, seen.loss_tokens) == (19, 16, 16)
    words = "7 completions, 35 tokens: 19 in front are the prompt and 16 completion, all in the loss"
    assert words in flat(run("inspect", "log.jsonl").output)
    full = flat(run("analyze", "log.jsonl", "--no-figures", "--full").output)
    assert "30 tokens: 15 in front are the prompt and 15 completion, all in the loss" in full
    assert json.loads((tmp_path / "log.prm" / "summary.json").read_text())["counts"]["prompt_tokens"] == 15
