"""Every format against the definition: process sets by comparing prefixes, means, intervals and labels by hand."""

import json

import polars as pl
import pytest
from canonical import table_of
from export.oracle_export import expected, to_the_last
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from strategies import logs

from grpo_prm.errors import InputError
from grpo_prm.export import ExportOptions, export
from grpo_prm.logs.rollouts import save

LETTERS = {0: "a", 1: "bé", 2: "😀 ", 3: "d", 2**31 - 1: "\n"}
options = st.fixed_dictionaries(
    {
        "labels": st.sampled_from(["mean", "sign", "threshold"]),
        "min_members": st.sampled_from([1, 2, 3]),
        "min_certainty": st.sampled_from([None, None, 0.0, 0.3, 0.6]),
        "exclude": st.booleans(),
        "std": st.sampled_from(["sample", "none", "batch"]),
    }
)


def text_of(ids):
    """No text of a token begins like that of another, so texts part where tokens do."""
    return "".join(LETTERS[i] for i in ids)


def written(log, folder, to, *, labels, threshold=None, min_members=2, min_certainty=None, exclude=False, std="sample"):
    """The rows of an export, and its counts; no rows if no step gets a label."""
    table = table_of(log).with_columns(
        completion=pl.Series([text_of(row.tokens) for *_, group in log for row in group], dtype=pl.String),
        prompt=pl.col("group_key"),
    )
    save(table, folder / "log.parquet")
    out = folder / f"out.{'parquet' if to == 'tokens' else 'jsonl'}"
    for old in folder.glob("out.*"):
        old.unlink()
    chosen = ExportOptions(labels, threshold, min_members, min_certainty, exclude, std)
    try:
        done = export(folder / "log.parquet", out, to, chosen)
    except InputError:
        assert [path.name for path in folder.iterdir()] == ["log.parquet"]
        return [], None
    rows = pl.read_parquet(out).to_dicts() if to == "tokens" else [json.loads(x) for x in out.read_text().splitlines()]
    assert len(rows) == done["counts"]["rows"] > 0
    place = {key: n for n, (_, _, key, _) in enumerate(log)}  # the reader puts runs one after the other
    for row in rows:
        row["group"] = place[name_of(row)]
    return sorted(rows, key=lambda row: row["group"]), done["counts"]


def name_of(row):
    """The prompt is the name of the group."""
    if "question" in row:
        return row["question"]["problem"]
    return row["prompt"] if "prompt" in row else row["input"].partition("\n")[0]


def usable(log):
    """What the reader takes: some group of two."""
    return any(len(group) > 1 for *_, group in log)


def near(value, other, tolerance=1e-9):
    return other is None if value is None else value == pytest.approx(other, abs=tolerance, nan_ok=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


TWO = [Row([0, 0], reward=1.0), Row([0, 1], reward=0.0), Row([0, 1], reward=0.0)]


@pytest.mark.slow
@settings(max_examples=50)
@given(logs(rewards=None).filter(usable), options)
@example([("a", 0, "p", TWO), ("a", 1, "q", [Row([1], reward=0.5), Row([1], reward=0.0)])], {"labels": "mean"})
@example([("a", 0, "p", [Row([], reward=1.0), Row([], reward=0.0), Row([0], reward=0.0)])], {"labels": "mean"})
def test_spans(folder, log, chosen):
    chosen = {**chosen, "threshold": 0.25 if chosen["labels"] == "threshold" else None}
    rows, counts = written(log, folder, "spans", **chosen)
    due = {key: to_the_last(steps) for key, steps in expected(log, **chosen).items()}
    assert [(r["group"], r["sample"]) for r in rows] == [key for key in sorted(due) for _ in due[key]]
    steps = [(key, step) for key in sorted(due) for step in due[key]]
    texts: dict = {}
    for row, (key, step) in zip(rows, steps, strict=True):
        tokens = log[key[0]][3][key[1]].tokens
        assert row["tokens"] == tokens[step.start : step.end] and (row["start"], row["end"]) == (step.start, step.end)
        assert (row["size"], row["k"], row["loss_tokens"]) == (step.size, step.k, step.loss)
        assert near(step.reward, row["step_reward"]) and near(step.advantage, row["step_advantage"])
        assert near(step.low, row["low"]) and near(step.high, row["high"])
        assert near(step.certainty, row["certainty"], 1e-6) and near(step.label, row["label"])
        assert row["text"] == text_of(row["tokens"]) and row["prompt"] == row["group_key"] == log[key[0]][2]
        assert row["outcome"] == log[key[0]][3][key[1]].reward
        texts[key] = texts.get(key, "") + row["text"]
    for (group, sample), text in texts.items():
        assert text_of(log[group][3][sample].tokens).startswith(text)
    if counts:
        check_counts(counts, log, chosen)


def check_counts(counts, log, chosen):
    every = expected(log, **chosen)
    steps = [step for path in every.values() for step in path]
    assert counts["steps"] == len(steps)
    assert counts["steps_labelled"] == sum(step.label is not None for step in steps)
    reasons = ("out_of_loss", "few_members", "uncertain", "without_sign")
    assert counts["steps"] == counts["steps_labelled"] + sum(counts[f"steps_{reason}"] for reason in reasons)
    assert counts["steps_out_of_loss"] == sum(not step.loss for step in steps)
    assert counts["steps_few_members"] == sum(
        bool(step.loss) and step.size < chosen.get("min_members", 2) for step in steps
    )
    assert counts["completions"] == len(every)
    assert counts["completions_without_label"] == sum(not to_the_last(path) for path in every.values())
    assert counts["groups_of_one"] == sum(len(group) == 1 for *_, group in log)
    assert counts["groups_zero_variance"] == sum(
        max(r.reward for r in group) == min(r.reward for r in group) for *_, group in log if len(group) > 1
    )


@pytest.mark.slow
@settings(max_examples=50)
@given(logs(rewards=None).filter(usable), options)
def test_tokens(folder, log, chosen):
    chosen = {**chosen, "threshold": 0.25 if chosen["labels"] == "threshold" else None}
    rows, counts = written(log, folder, "tokens", **chosen)
    due = {key: steps for key, steps in expected(log, **chosen).items() if to_the_last(steps)}
    assert [(r["group"], r["sample"]) for r in rows] == sorted(due)
    labelled = 0
    for row in rows:
        mine = log[row["group"]][3][row["sample"]]
        mask = mine.mask or [True] * len(mine.tokens)
        assert row["tokens"] == mine.tokens and row["mask"] == mask and row["outcome"] == mine.reward
        by_token = [step for step in due[row["group"], row["sample"]] for _ in range(step.start, step.end)]
        assert row["size"] == [step.size for step in by_token]
        for name, field in (
            ("step_reward", "reward"),
            ("step_advantage", "advantage"),
            ("low", "low"),
            ("high", "high"),
        ):
            assert all(near(getattr(s, field), v, 1e-5) for s, v in zip(by_token, row[name], strict=True))
        label = [step.label if inside else None for step, inside in zip(by_token, mask, strict=True)]
        assert all(near(a, b, 1e-5) for a, b in zip(label, row["label"], strict=True))
        labelled += sum(value is not None for value in label)
    assert not counts or counts["tokens_labelled"] == labelled


def solved(log, chosen, neutral=False):
    """Texts and labels of every completion: text without a label goes before the next that has one. Each group once."""
    found = []
    for (group, sample), steps in sorted(expected(log, neutral=neutral, **chosen).items()):
        tokens, texts, labels, begin = log[group][3][sample].tokens, [], [], 0
        for step in steps:
            if step.label is not None:
                texts.append(text_of(tokens[begin : step.end]))
                labels.append(step.label)
                begin = step.end
        if labels and (group, texts, labels) not in found:
            found.append((group, texts, labels))
    return [(log[group][2], log[group][0], texts, labels) for group, texts, labels in found]


@pytest.mark.slow
@settings(max_examples=50)
@given(logs(rewards=None).filter(usable), options, st.sampled_from(["stepwise", "math-shepherd", "prm800k"]))
def test_formats_of_text(folder, log, chosen, to):
    labels = "sign" if chosen["labels"] == "mean" else chosen["labels"]
    chosen = {**chosen, "labels": labels, "threshold": 0.25 if labels == "threshold" else None}
    rows, counts = written(log, folder, to, **chosen)
    due = solved(log, chosen, neutral=to == "prm800k")
    if to == "stepwise":
        made = [{"prompt": p, "completions": t, "labels": [x == 1 for x in ys]} for p, _, t, ys in due]
        assert all(set(row) == {"prompt", "completions", "labels", "group"} for row in rows)
        assert [{name: row[name] for name in made[0]} for row in rows] == made
    elif to == "math-shepherd":
        for row, (prompt, run, texts, ys) in zip(rows, due, strict=True):
            assert row["task"] == run and set(row) == {"input", "label", "task", "group"}
            assert row["input"].removesuffix(" ки").split(" ки\n") == [f"{prompt}\n{texts[0]}", *texts[1:]]
            at_marks = row["input"].replace("ки", "ⶻ")  # as readers of that data align the two
            assert len(at_marks) == len(row["label"])
            signs = [row["label"][n] for n, c in enumerate(at_marks) if c == "ⶻ"]
            assert signs == ["+" if y == 1 else "-" for y in ys]
            assert at_marks.replace("ⶻ", "") == "".join(
                c for c, m in zip(row["label"], at_marks, strict=True) if m != "ⶻ"
            )
    else:
        for row, (prompt, _, texts, ys) in zip(rows, due, strict=True):
            steps = row["label"]["steps"]
            assert row["question"]["problem"] == prompt
            taken = [step["completions"][step["chosen_completion"]] for step in steps]
            assert [c["text"] for c in taken] == texts == row["question"]["pre_generated_steps"]
            assert [c["rating"] for c in taken] == [{1.0: 1, 0.5: 0, 0.0: -1}[y] for y in ys]
            assert all(len(step["completions"]) == 1 and step["human_completion"] is None for step in steps)
    assert not counts or counts["steps_written"] == sum(len(texts) for _, _, texts, _ in due)
