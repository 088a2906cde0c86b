"""What intervals resample (problems), and that a log and its canonical table give the same numbers."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from canonical import table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_sets import Row

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.clusters import CLUSTER
from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.rollouts import Rollouts, save

SHARED = Path(__file__).parents[3] / "shared"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real logs are not there")
NAMES = st.sampled_from([None, "x", "y"])


def groups_with(names):
    """A canonical log of groups of two with these (run, prompt, problem)."""
    log = [
        (run, None, f"key {n}", [Row([1, 2], reward=0.0), Row([1, 3], reward=1.0)]) for n, (run, *_) in enumerate(names)
    ]
    prompts, problems = ([name[at] for name in names for _ in range(2)] for at in (1, 2))
    return table_of(log).with_columns(
        prompt=pl.Series(prompts, dtype=pl.String), problem=pl.Series(problems, dtype=pl.String)
    )


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("ab"), NAMES, NAMES), min_size=1, max_size=8))
def test_groups_are_of_one_cluster_if_run_prompt_and_problem_are_equal(names):
    """The key of the group stands in where neither prompt nor problem is known."""
    found = analyze(Rollouts(groups_with(names)))
    clusters = {
        (run, *((n,) if prompt is None and problem is None else (prompt, problem)))
        for n, (run, prompt, problem) in enumerate(names)
    }
    assert found.groups.select(pl.struct(CLUSTER).n_unique()).item() == len(clusters)
    assert found.summary["overlap"]["path_depth"]["n"] == len(clusters)


@pytest.mark.parametrize(
    ("prompts", "problems", "n"),
    [
        (["p"] * 60, list(range(60)), 60),  # a game: one prompt for all, and the problem tells more apart
        (list(range(60)), ["set a", "set b"] * 30, 60),  # the key names a data set: the prompt tells more apart
        (list(range(30)) * 2, list(range(30)) * 2, 30),  # both alike, each drawn twice
        (list(range(30)) * 2, [None] * 60, 30),
        ([None] * 60, list(range(20)) * 3, 20),
        ([None] * 60, [None] * 60, 60),
    ],
)
def test_the_finer_of_problem_and_prompt_decides(prompts, problems, n):
    names = [
        ("a", *(None if name is None else str(name) for name in pair)) for pair in zip(prompts, problems, strict=True)
    ]
    summary = analyze(Rollouts(groups_with(names))).summary
    assert summary["overlap"]["path_depth"]["n"] == n and summary["overlap"]["path_depth"]["low"] is not None
    assert f"with {n} problems the 95 %" in summary["notes"]["intervals"]


def test_pseudo_groups_are_of_different_problems_not_of_different_prompts():
    names = [("a", "p", str(n)) for n in range(4)]
    assert analyze(Rollouts(groups_with(names))).summary["baseline"]["path_depth"]["mean"] is not None
    assert analyze(Rollouts(groups_with([("a", "p", "0")] * 4))).summary["baseline"]["path_depth"] is None


WORDS = ("so", "we", "add", "one", "more", "and", "take", "two", "of", "them", "then", "half", "is", "left", "over")


def said(rng):
    return " ".join(["so", *rng.choices(WORDS, k=rng.randint(0, 9)), "#### 4"][rng.randint(0, 1) :])


def texts(problems=24, steps=2, k=3):
    """(step, problem, text, reward) of invented completions."""
    rng = random.Random(3)  # noqa: S311
    return [
        (step, n, said(rng), float(rng.random() < 0.5))
        for step in range(steps)
        for n in range(problems)
        for _ in range(k)
    ]


def lines(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def games(folder):
    """One prompt for all examples, and parts of the reward."""
    return lines(folder / "games.jsonl", [
        {"step": step, "example_id": n, "prompt": [{"role": "user", "content": "Guess."}], "task": "game",
         "completion": [{"role": "assistant", "content": text}, {"role": "tool", "content": f"no {n % 2}"},
                        {"role": "assistant", "content": "so"}], "reward": r, "metrics": {"right": r, "form": n}}
        for step, n, text, r in texts()
    ])  # fmt: skip


def images(folder):
    return lines(folder / "images.jsonl", [
        {"step": step, "prompt": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:{n}"}},
         {"type": "text", "text": "What is it?"}]}], "completion": text, "reward": r}
        for step, n, text, r in texts()
    ])  # fmt: skip


def drawn_twice(folder):
    """A data source as task_id; one problem comes twice in a step."""
    rows = [
        {"step": step, "task_id": f"set {n % 2}", "prompt": f"q{n}", "completion": text, "reward": r}
        for step, n, text, r in texts()
    ]
    return lines(
        folder / "twice.jsonl", [*rows, *({**row, "completion": row["completion"] + " x"} for row in rows[-3:])]
    )


def verl(folder):
    for step in range(2):
        rows = [
            {"input": f"q{n}", "output": text, "gts": str(n), "score": r, "step": s, "acc": r}
            for s, n, text, r in texts() if s == step
        ]  # fmt: skip
        random.Random(step).shuffle(rows)  # noqa: S311
        lines(folder / "verl" / f"{step}.jsonl", rows)
    return folder / "verl"


def verl_with_uid(folder):
    rows = [
        {"input": "What is shown?", "output": text, "gts": str(n), "score": r, "step": s, "uid": f"{s}-{n}_{at}_0"}
        for at, (s, n, text, r) in enumerate(texts())
    ]
    return lines(folder / "uid.jsonl", rows)


def trl(folder):
    for step in range(2):
        rows = [row for row in texts() if row[0] == step]
        right = np.array([r for *_, r in rows]).reshape(-1, 3)
        advantage = ((right - right.mean(1, keepdims=True)) / (right.std(1, ddof=1, keepdims=True) + 1e-4)).ravel()
        asked, written = ([f"q{n}" for _, n, *_ in rows], [text for _, _, text, _ in rows])
        table = {"step": [step] * len(rows), "prompt": asked, "completion": written, "right": right.ravel()}
        table["advantage"] = advantage
        path = folder / "trl" / "completions" / f"completions_{step:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(table).write_parquet(path)
    return folder / "trl" / "completions"


def ids(text):
    return [WORDS.index(word) if word in WORDS else 50 for word in text.split()]


def tokens(folder):
    """Ids, log-probabilities of sampler and trainer, masks and advantages, in parquet."""
    rng = np.random.default_rng(1)
    rows = [
        {"step": step, "uid": f"{step}-{n}", "problem_id": n, "completion_ids": ids(text), "reward": r,
         "rollout_log_probs": -rng.random(len(ids(text))), "old_log_probs": -rng.random(len(ids(text))),
         "loss_mask": [at != 1 for at in range(len(ids(text)))], "advantage": r - 0.5}
        for step, n, text, r in texts()
    ]  # fmt: skip
    pl.DataFrame(rows).write_parquet(folder / "tokens.parquet")
    return folder / "tokens.parquet"


def labelled(folder):
    """A group in a row, the prompt known by its ids alone; members of every third group read different ones."""
    rows = texts(steps=1)
    made = []
    for n in range(24):
        mine = [ids(text) for _, of, text, _ in rows if of == n]
        asked = [[90 + n, 60 + (n % 3 == 0 and at)] for at in range(3)]
        made.append(
            {"tokens": [a + t for a, t in zip(asked, mine, strict=True)],
             "masks": [[-100, -100, *t] for t in mine], "scores": [r for _, of, _, r in rows if of == n]}
        )  # fmt: skip
    return lines(folder / "labelled.jsonl", made)


def table(folder):
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "prompt", "problem_id", "completion", "reward"])
        writer.writerows((step, f"q{n}", n, text, r) for step, n, text, r in texts())
    return path


LOGS = (games, images, drawn_twice, verl, verl_with_uid, trl, tokens, labelled, table)
# `convert` leaves rejected rows behind, and prompts that stood in the rows, and has split.
OF_READING = ("rows_read", "rejected", "groups_split", "prompt_tokens")


def numbers(value, path=""):
    """Everything in a summary but what is about the reading, by its path."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in numbers(inner, f"{path}.{key}").items()
                if key not in (*OF_READING, "source")}  # fmt: skip
    if isinstance(value, list):
        return {k: v for at, inner in enumerate(value) for k, v in numbers(inner, f"{path}.{at}").items()}
    return {path: value}


def check_convert(path, folder, **reading):
    """The numbers of a log are those of its canonical table, of either kind."""
    options = ReadOptions(**reading)
    wanted, rollouts = numbers(analyze(path, reading=options).summary), collect(path, options)
    for suffix in (".parquet", ".jsonl"):
        save(rollouts, folder / f"canonical{suffix}")
        found = numbers(analyze(folder / f"canonical{suffix}").summary)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            # Sums of permutations depend on where batches were cut in their last bits.
            assert found[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize("log", LOGS)
def test_a_log_and_its_canonical_table_give_the_same_numbers(tmp_path, log):
    found = check_convert(log(tmp_path), tmp_path)
    assert found[".overlap.path_depth.n"] == 24
    assert (found[".overlap.path_depth.low"] is None) == (24 < 20)
    assert found[".counts.groups_prompts_differ"] == (8 if log is labelled else 0)


REAL = {
    "verl_hecate_gsm8k_tool_step2_k16.jsonl": {},
    "prime_hosted_rl": {},
    "qwen25math_math_cot_100_k8.jsonl": {},
    "atropos_rubiks_process_results_k4_tokens.jsonl": {},
    "atropos_cybersec_objreward_k8_tokens.jsonl": {},
    "verifiers_v01_network_logs_k3_results.jsonl": {},
    "taubench_gpt4o_airline_k4.json": {},
    "tot_game24_gpt4_cot_k100.json": {"completion": "ys", "reward": "infos.r"},
    "trl_1.16_generated/conv_plain": {},
    "trl_1.16_generated/str_eval": {},
    "trl_1.16_generated/str_iter2": {},
    "trl_1.16_generated/str_plain": {},
}


@real
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_a_real_log_and_its_canonical_table_give_the_same_numbers(tmp_path, name):
    check_convert(SHARED / "real" / name, tmp_path, columns=REAL[name])


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "groups"),
    [("constant_prompt_60_examples", 60), ("image_prompts_same_text", 4), ("task_id_is_a_data_source", 6)],
)
def test_what_tells_problems_apart_in_logs_of_the_field(tmp_path, name, groups):
    found = check_convert(SHARED / "field" / f"{name}.jsonl", tmp_path)
    assert found[".counts.groups"] == found[".overlap.path_depth.n"] == groups
    note = next(
        line for line in (SHARED / "field" / f"{name}.md").read_text().splitlines() if line.startswith("Numbers: ")
    )
    wanted = json.loads(note.removeprefix("Numbers: "))
    assert found[".overlap.path_depth.mean"] == pytest.approx(wanted["depth"], abs=2e-6)
    assert found[".defects.suppressed_good.mean"] == pytest.approx(wanted["supp"], abs=2e-6)
