"""Tasks for a model of one's own: chat prompts, prompts that are held out, mixes, and the majority answer in a run."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from made_tokenizers import byte_level
from train_models import random_model
from transformers import PreTrainedTokenizerFast

import grpo_prm
from grpo_prm.errors import UsageError
from grpo_prm.tasks import Prompt, Task, get_task, get_tasks
from grpo_prm.train import problem as problems
from grpo_prm.train import task_prompts
from grpo_prm.train.config import make_config
from grpo_prm.train.loop import train
from grpo_prm.train.problem import of_task

pytest.importorskip("reasoning_gym")
GCD, PRODUCTS = "reasoning-gym:gcd?max_value=30", "reasoning-gym:products?max_digits=1"
MIX = f"{GCD},{PRODUCTS}"
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[bot]{% endif %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A random model that reads bytes, with a chat template."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="<end>", pad_token="<end>")  # noqa: S106
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    random_model("llama", len(tokenizer), context=256, eos_token_id=tokenizer.eos_token_id).save_pretrained(folder)
    return str(folder)


def settings(model, task, **more):
    few = {"prompts": 3, "group_size": 3, "steps": 3, "eval_prompts": 12, "max_new_tokens": 4, "threads": 1}
    return make_config({"model": model, "task": task, **few, **more})


def opened(model, config):
    notes = []
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    return of_task(config.task, tokenizer, config, notes.append), [event.text for event in notes]


def questions(rows):
    return [row.row["task"].text for row in rows]


def test_questions_go_through_the_chat_template(model):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    for system, before in ((None, ""), ("Count.", "[system]Count.")):
        problem, _ = opened(model, settings(model, PRODUCTS, system=system))
        for row in (*problem.prompts(0), *problem.held_out):
            assert row.text == f"{before}[user]{row.row['task'].text}[bot]" and row.task == PRODUCTS
            assert row.ids == tokenizer(row.text, add_special_tokens=False)["input_ids"]
        assert problem.plain


@pytest.mark.parametrize("task", [PRODUCTS, MIX])
def test_nothing_that_is_held_out_is_trained_on(model, task):
    """One digit times one digit has a hundred questions, so that chance alone would show them all."""
    made = [opened(model, settings(model, task, seed=seed, prompts=40))[0] for seed in (0, 1)]
    evaluated = {text for problem in made for text in questions(problem.held_out)}
    trained = {text for problem in made for step in range(8) for text in questions(problem.prompts(step))}
    assert len(trained) > 60 and not evaluated & trained
    for problem in made:
        own = questions(problem.held_out)
        assert len(own) == len(set(own)) == 12
    assert questions(made[0].prompts(3)) != questions(made[1].prompts(3))
    assert questions(made[0].prompts(3)) == questions(opened(model, settings(model, task, prompts=40))[0].prompts(3))


def test_a_task_with_few_prompts_says_so(model):
    problem, notes = opened(model, settings(model, PRODUCTS, eval_prompts=90))
    assert 5 < len(problem.held_out) < 40
    assert notes == [f"{len(problem.held_out)} prompts are held out and not 90: {PRODUCTS} has no more."]
    one = get_task("binary-tree")
    all_out = Task(**{**vars(one), "held_out": lambda _: True})
    with pytest.raises(UsageError, match="next to no prompts that are not held out"):
        task_prompts.of_step([all_out], settings(model, PRODUCTS), 0)


def test_tasks_of_a_mix_come_in_turn(model):
    problem, _ = opened(model, settings(model, MIX))
    assert [row.task for step in range(2) for row in problem.prompts(step)] == [GCD, PRODUCTS] * 3
    of_task = [row.task for row in problem.held_out]
    assert of_task.count(GCD) == of_task.count(PRODUCTS) == 6


def test_the_majority_answer_of_each_task_is_counted(model):
    """By hand: of each task the answer that is right most often among the prompts it is chosen by."""
    config = settings(model, MIX, prompts=50)
    problem, _ = opened(model, config)
    every = get_tasks(MIX)
    said = task_prompts.constants(every, config)
    assert said[GCD] in ("1", "2")  # what two numbers up to 30 have in common most often
    rows = problem.prompts(0)
    by_hand = np.mean([row.answer == said[row.task] for row in rows])
    assert problem.majority(rows) == by_hand > 0.15
    assert problem.majority(problem.held_out) == np.mean([r.answer == said[r.task] for r in problem.held_out])


def test_rewards_are_full_marks_or_with_partial_credit_what_the_verifier_gives(model):
    name = "reasoning-gym:base_conversion"
    for partial in (False, True):
        problem, _ = opened(model, settings(model, name, partial_credit=partial))
        rows = problem.prompts(0)
        texts = [rows[0].answer, "0" + rows[1].answer, "nothing"]
        reward = problem.score(rows, texts)["reward"]
        assert reward[0] == 1.0 and (0 < reward[1] < 1 if partial else reward[1] == 0.0)
        assert problem.right(rows, texts).tolist() == [1.0, 0.0, 0.0]


def test_a_verifier_that_hangs_gives_nothing(model, monkeypatch):
    def hangs(*_):
        while True:
            pass

    hanging = Task(
        name="h", limit=4, draw=lambda _: Prompt("q", "1", {}), reward=hangs, right=hangs, says=lambda _: None
    )
    monkeypatch.setattr(problems, "get_tasks", lambda _: (hanging,))
    config = settings(model, PRODUCTS, reward_timeout=0.02)
    problem, _ = opened(model, config)
    assert (
        problem.right(problem.prompts(0)[:1], ["1"]).tolist() == [0.0] and problem.majority(problem.prompts(0)) is None
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": GCD}, "has no small model of its own. Name one with --model"),
        ({"task": GCD, "model": "m", "data": "d"}, "Leave out --data"),
        ({"task": GCD, "model": "m", "warm_steps": 3}, "--warm-steps"),
        ({"task": f"{GCD},chain", "model": "m"}, "chain has a small model of its own"),
        ({"task": "reasoning-gym:gdc", "model": "m"}, "Did you mean gcd"),
    ],
)
def test_what_does_not_go_together(given, said):
    with pytest.raises(UsageError, match=said):
        make_config(given)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_records_task_and_majority_and_goes_on_to_the_same(model, tmp_path):
    whole = settings(model, MIX, out=str(tmp_path / "a.run"), save_every=1)
    result = train(whole)
    folder = tmp_path / "a.run"
    table = pl.read_parquet(folder / "rollouts/*.parquet")
    assert table["task"].unique().sort().to_list() == sorted([GCD, PRODUCTS])
    assert (table.group_by("group").agg(pl.col("task").n_unique())["task"] == 1).all()
    problem, _ = opened(model, whole)
    for line in lines(folder):
        if held := line.get("held_out"):
            assert held["majority"] == result.majority == problem.majority(problem.held_out)
        else:
            assert line["majority"] == problem.majority(problem.prompts(line["step"]))
    found = grpo_prm.analyze(folder, grpo_prm.Options(baseline_by="task"))
    assert found.groups["task"].unique().sort().to_list() == sorted([GCD, PRODUCTS])
    # two steps, then the third: the prompts of a step need nothing of the steps before
    short = settings(model, MIX, out=str(tmp_path / "b.run"), save_every=1, steps=2)
    train(short)
    train(settings(model, MIX, out=str(tmp_path / "b.run"), save_every=1), resume=True)
    for name in ("rollouts/step_000002.parquet", "model/model.safetensors"):
        one, other = ((tmp_path / run / name).read_bytes() for run in ("a.run", "b.run"))
        if name.endswith("parquet"):
            one, other = (pl.read_parquet(part).drop("run") for part in (one, other))
            assert one.equals(other)
        else:
            assert one == other
    with pytest.raises(UsageError, match="differs: task was"):
        train(settings(model, GCD, out=str(tmp_path / "b.run"), save_every=1), resume=True)


def test_the_claim_about_training_takes_a_model_that_is_there(model, tmp_path, monkeypatch):
    """Its settings have no warm start then, and its end has the majority answer beside the accuracy."""
    from grpo_prm.reproduce.training_plan import Plan, Run, Size, run_settings, start_jobs, training_job

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    size = Size(2, 3, 1e-4, 1, 1, task=PRODUCTS, model=model)
    plan = Plan({"products": size}, ("p = 0",), 1, 0, 0, 2, True, 3)
    own = run_settings("products", 0, 1e-4, plan, 0)
    assert (own["task"], own["model"]) == (PRODUCTS, model) and "warm_seed" not in own and "warm_steps" not in own
    short = {"max_new_tokens": 4, "eval_prompts": 6}
    (start,) = start_jobs(plan, 0).values()
    before = start.make(settings=start.arguments["settings"] | short)
    job = training_job(Run("products", "p = 0", 1e-4, 0), plan, 0)
    after = job.make(
        method="p = 0", settings=job.arguments["settings"] | {"max_new_tokens": 4}, folder=tmp_path / "run"
    )
    assert 0 <= before["majority"][0] <= 1
    assert after.filter(statistic="final_majority")["value"].is_between(0, 1).all()
