"""`--backend trl` against our trainer: the same steps, a run folder like ours, two processes, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from train_models import random_model, tiny

pytest.importorskip("trl", minversion="1.16")  # the oldest whose numbers are compared with ours

from grpo_prm import analyze
from grpo_prm.core.interval import Interval
from grpo_prm.errors import InputError, UsageError
from grpo_prm.integrations import trl_backend, trl_run
from grpo_prm.integrations.backend import check_installed, train
from grpo_prm.integrations.trl_settings import rows_at_a_time, trl_settings
from grpo_prm.train.config import make_config
from grpo_prm.train.record import curves_table

REWARD = """
def score(completion, answer):
    return completion.startswith(answer) + len(completion) / 100


def words(completion):
    if len(completion) % 5 == 2:
        raise ValueError("no number for this one")
    return float(len(completion) % 3)
"""
CASES = {
    "GRPO": {"power": 0.0},
    "lambda": {"power": 0.5, "max_grad_norm": 0.5, "aggregation": "bnpo", "schedule": "linear"},
    "paper": {
        "power": 1.0, "aggregation": "grpo", "temperature": 0.75, "loss_temperature": 1.0, "beta": 0.1,
        "ratio_in_kl": False, "lora": 4,
    },
    "matched": {"match_scale": True, "aggregation": "dr_grpo", "std": "batch", "beta": 0.1},
    "placebo": {"weights": "position", "aggregation": "grpo", "mask_truncated": True, "max_new_tokens": 12},
    "parts": {"weights": "parent", "reward": ("backend_reward:score*0.5", "backend_reward:words")},
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, prompts of several lengths and rewards, one of which fails now and then."""
    folder = tmp_path_factory.mktemp("own")
    model, tokenizer = tiny("qwen2")
    tokenizer.pad_token = tokenizer.eos_token  # TRL takes padding that is sampled for an end
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = [{"prompt": f"{n} 5 6" + " 4" * (n % 3), "answer": str(n)} for n in (7, 8, 9, 22, 23, 24)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "backend_reward.py").write_text(REWARD)
    return folder


@pytest.fixture(autouse=True)
def one_thread(place, monkeypatch):
    monkeypatch.syspath_prepend(place)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def settings(place, out, backend="trl", **more):
    own = {"model": f"{place}/model", "data": f"{place}/prompts.jsonl", "reward": ("backend_reward:score",)}
    small = {"steps": 3, "prompts": 3, "group_size": 4, "max_new_tokens": 6, "token_budget": 60, "threads": 1}
    # sgd: under Adam rounding of a gradient near 0 would be a whole step
    fixed = {"device": "cpu", "optimizer": "sgd", "learning_rate": 0.1, "backend": backend, "out": str(out)}
    return make_config({**own, **small, **fixed, **more})


def metrics(folder):
    """Lines of training and of held-out accuracy, without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


def weights(folder):
    (path,) = (folder / "model").glob("*model.safetensors")
    return load_file(path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_both_trainers_take_the_same_steps(place, tmp_path, case):
    """Passes of a few rows in TRL, the whole batch at a time in ours: loss, gradient, figures, weights at the end."""
    for backend in ("own", "trl"):
        train(settings(place, tmp_path / backend, backend, **CASES[case]))
    own, inside = weights(tmp_path / "own"), weights(tmp_path / "trl")
    start = {} if "lora" in CASES[case] else load_file(place / "model" / "model.safetensors")
    moved = max((own[name] - start.get(name, 0)).abs().max().item() for name in own)
    gap = max((own[name] - inside[name]).abs().max().item() for name in own)
    assert gap < 1e-4 * moved and moved > 1e-4
    for ours, theirs in zip(metrics(tmp_path / "own"), metrics(tmp_path / "trl"), strict=True):
        names = ["step", "reward", "length", "grad_norm", "failed_rewards", "learning_rate"]
        names += ["path_depth", "intermediate_proportion"] * (case not in ("placebo", "parts"))  # their rows are fewer
        names += ["loss"] * (case == "GRPO") + ["reward/words"] * (case == "parts")
        # TRL's loss is logged without the weights; its part of a reward that fails is left out of the mean of all parts
        for name in names:
            if case == "parts" and name == "reward/words":
                assert theirs[name] is not None
            else:
                assert theirs[name] == pytest.approx(ours[name], rel=2e-5, abs=2e-6), name
    assert case != "parts" or sum(line["failed_rewards"] for line in metrics(tmp_path / "trl")) > 0


@pytest.fixture(scope="module")
def whole(place, tmp_path_factory):
    """A run of four steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "a.run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        return folder, train(run_settings(place, folder))


def run_settings(place, out, **more):
    held_out = {"eval_data": f"{place}/prompts.jsonl", "eval_every": 2, "save_every": 2, "steps": 4}
    return settings(place, out, **held_out, beta=0.1, optimizer="adam", learning_rate=1e-2, **more)


@pytest.mark.slow
def test_the_run_folder_is_like_ours(whole):
    folder, result = whole
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "method.txt", "model.json", "metrics.jsonl", "rollouts", "checkpoints", "model"
    }  # fmt: skip
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"step_000002", "step_000004", "best"}
    assert (folder / "method.txt").read_text() == "λ-GRPO, p = 1\n"
    assert [line["step"] for line in metrics(folder)] == [-1, 0, 1, 1, 2, 3, 3]
    assert result[:5] == (folder, Interval(*result.before), Interval(*result.after), 0, 0)
    assert result.before.n == 6
    curves = curves_table(folder)
    assert curves.filter(series="held_out")["step"].to_list() == [0, 2, 4]
    analysis = analyze(folder)
    groups = analysis.groups.group_by("step").agg(pl.col("path_depth").mean()).sort("step")
    assert groups["step"].to_list() == [1, 2, 3, 4]  # TRL counts from 1
    lines = [line for line in metrics(folder) if "held_out" not in line]
    assert groups["path_depth"].to_list() == pytest.approx([line["path_depth"] for line in lines], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 3])
def test_a_run_that_is_cut_off_goes_on(place, whole, tmp_path, step):
    """Before its first checkpoint it starts anew; a half-written checkpoint is no checkpoint."""

    def cut(event):
        if event.kind == "step" and event.step == step:
            raise KeyboardInterrupt

    out = tmp_path / "a.run"
    with pytest.raises(KeyboardInterrupt):
        train(run_settings(place, out), cut)
    (out / trl_backend.STAGING / "checkpoint-3").mkdir(parents=True)
    result = train(run_settings(place, out), resume=True)
    assert result == whole[1]._replace(folder=out)
    assert metrics(out) == metrics(whole[0])
    for name, value in weights(whole[0]).items():
        assert torch.equal(weights(out)[name], value)
    parts = sorted((whole[0] / "rollouts").iterdir())
    assert [path.name for path in parts] == sorted(path.name for path in (out / "rollouts").iterdir())
    assert all(pl.read_parquet(path).equals(pl.read_parquet(out / "rollouts" / path.name)) for path in parts)
    assert not (out / trl_backend.STAGING).exists()
    with pytest.raises(UsageError, match="holds a run already"):
        train(run_settings(place, out))
    with pytest.raises(UsageError, match="backend was trl and is own"):
        train(run_settings(place, out, backend="own"), resume=True)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(place, tmp_path):
    """Six rows each of groups of four: one group straddles them."""
    train(settings(place, tmp_path / "one.run"))
    arguments = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--no-python"]
    known = os.environ | {"ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    (tmp_path / "run.yaml").write_text((tmp_path / "one.run" / "config.yaml").read_text())
    for attempt in range(2):  # gloo loses a connection of its own once in many runs
        command = [*arguments, str(Path(sys.executable).with_name("grpo-prm")), "train", "--config", "run.yaml"]
        done = subprocess.run(
            [*command, "--out", f"two{attempt}.run"], cwd=tmp_path, env=known | {"PYTHONPATH": str(place)},
            capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        if "gloo/transport" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-3000:]
    two = weights(tmp_path / f"two{attempt}.run")
    for name, value in weights(tmp_path / "one.run").items():
        assert torch.allclose(two[name], value, rtol=0, atol=1e-6)
    assert len(list((tmp_path / f"two{attempt}.run" / "rollouts").iterdir())) == 2 * 3


@pytest.mark.slow
def test_what_is_not_finite_is_skipped(place, tmp_path, monkeypatch):
    """The second step's gradient: weights and moments stay, the step is counted."""
    before = trl_run.gradient_norm
    norms = iter([1.0, float("nan"), 1.0])
    monkeypatch.setattr(trl_run, "gradient_norm", lambda model: before(model) * next(norms))
    steps = []
    result = train(settings(place, tmp_path / "a.run", optimizer="adam", learning_rate=1e-2), steps.append)
    assert result.skipped == 1
    assert [event.metrics["skipped"] for event in steps if event.kind == "step"] == [0, 1, 0]


class Engine:
    """Stands in for vLLM: gives every prompt back, and notes how it was asked."""

    temperature, top_p, top_k, generation_kwargs = 1.0, 0.9, 5, {"temperature": 0.75}

    def __init__(self):
        self.asked, self.synced = [], 0

    def sync_weights(self):
        self.synced += 1

    def generate(self, prompts, images, num_generations, profiler):
        self.asked.append((self.temperature, self.top_p, self.top_k, self.generation_kwargs, num_generations))
        with profiler:
            return None, [list(ids) for ids in prompts], [[[0.0] for _ in ids] for ids in prompts], None


@pytest.mark.slow
def test_validation_asks_vllm_for_the_likeliest_tokens(place, tmp_path, monkeypatch):
    """TRL's own code around a fake engine: weights are handed over, and the settings of training come back."""
    engine, accuracies = Engine(), []
    before = trl_run.RunTrainer.held_out

    def held_out(run, done):
        run.use_vllm, run.vllm_generation, run._last_loaded_step = True, engine, -1
        try:
            return before(run, done)
        finally:
            run.use_vllm = False

    monkeypatch.setattr(trl_run.RunTrainer, "held_out", held_out)
    config = run_settings(place, tmp_path / "a.run")
    train(config, lambda event: accuracies.append(event) if event.kind == "eval" else None)
    assert engine.asked == [(0.0, 1.0, 0, {}, 1)] * 3 and engine.synced == 3
    assert (engine.temperature, engine.top_p, engine.top_k) == (1.0, 0.9, 5)
    assert engine.generation_kwargs == {"temperature": 0.75}
    # the answer is the first word of each prompt, so what gives the prompt back is right
    assert [event.metrics["accuracy"] for event in accuracies] == [1.0] * 3


def test_settings_for_vllm(tmp_path):
    config = make_config(
        {"model": "m", "data": "d", "reward": "math", "backend": "trl", "vllm": True, "out": str(tmp_path)}
        | {"prompts": 4, "group_size": 6, "max_new_tokens": 1200, "temperature": 0.75, "loss_temperature": 1.0}
    )
    args = trl_settings(config, 1, 300)
    assert (args.use_vllm, args.vllm_mode, args.vllm_max_model_length) == (True, "colocate", 1500)
    assert (args.temperature, args.generation_kwargs) == (1.0, {"temperature": 0.75})
    assert not args.vllm_importance_sampling_correction and args.max_grad_norm == 0
    with pytest.raises(UsageError, match=r"24 completions a step \(4 prompts of 6\) cannot be shared out to 5"):
        trl_settings(config, 5, 300)


@pytest.mark.parametrize(
    ("rows", "tokens", "budget", "most"),
    [(24, 1500, 16_384, 8), (24, 1500, 1500, 1), (24, 10, 1000, 24), (7, 2, 13, 1)],
)
def test_rows_at_a_time(rows, tokens, budget, most):
    assert rows_at_a_time(rows, tokens, budget) == most
    fits = [n for n in range(1, rows + 1) if n * tokens <= budget and rows % n == 0]
    assert most == max(fits, default=1)


@pytest.mark.slow
def test_learned_positions_are_refused_where_prompts_differ_in_length(place, tmp_path):
    random_model("gpt2").save_pretrained(tmp_path / "gpt2")
    tiny("gpt2")[1].save_pretrained(tmp_path / "gpt2")
    with pytest.raises(InputError, match="GPT2LMHeadModel has learned positions"):
        train(settings(place, tmp_path / "a.run", model=str(tmp_path / "gpt2")))


def test_an_older_trl_is_refused(place, tmp_path, monkeypatch):
    monkeypatch.setattr(trl_backend.trl, "__version__", "1.15.2")
    with pytest.raises(UsageError, match=r"needs TRL 1\.16 or newer, and this is 1\.15\.2"):
        train(settings(place, tmp_path / "a.run"))


def test_several_gpus_and_one_process_are_refused(place, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(UsageError, match="accelerate launch --num_processes 8"):
        train(settings(place, tmp_path / "a.run", device="auto"))


@pytest.mark.parametrize(("name", "message"), [("trl", "--backend trl needs TRL"), ("vllm", "--vllm needs vLLM")])
def test_a_missing_package_is_named(name, message, monkeypatch):
    import grpo_prm.integrations.backend as backend

    monkeypatch.setattr(backend, "find_spec", lambda one: None if one == name else True)
    with pytest.raises(UsageError, match=message):
        check_installed(make_config({"backend": "trl", "vllm": True}))
