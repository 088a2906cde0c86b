"""Contract with ms-swift 4.6 on a CPU, its own code: what `rlhf` trains, and its loss with one line put into it."""

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("swift.rlhf_trainers")
from integrations.swift_toy import prompts, tiny_model
from swift.arguments import RLHFArguments
from swift.cli import main as swift_launcher
from swift.pipelines import rlhf_main
from swift.rewards import orms
from swift.rl_core.data import GRPOSample
from swift.rlhf_trainers import GRPOTrainer
from swift.rlhf_trainers.utils import collate_to_grpo_micro_batch, encode_sample, pad_logps_back_to_batch
from swift.trainers import TrainerFactory

from grpo_prm import read_rollouts
from grpo_prm.errors import UsageError
from grpo_prm.integrations import ms_swift

K = 4
# Behind the KL term, before the terms are added up.
AFTER = "        if rollout_is_weights is not None and self.rollout_importance_sampling_mode is not None:\n"
LINE = "        per_token_loss = per_token_loss * grpo_batch.lambda_weights\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two steps of `swift rlhf --external_plugins`, the trainer and the batches of each generation."""
    folder = tmp_path_factory.mktemp("swift")
    plugin = folder / "lambda_grpo.py"
    plugin.write_text(
        "from swift.rewards import ORM, orms\n"
        "class Short(ORM):\n"
        "    def __call__(self, completions, **kwargs):\n"
        "        return [len(text) % 3 / 2 for text in completions]\n"
        "orms['short'] = Short\n"
        "from grpo_prm.integrations.ms_swift import switch_on\n"
        "switch_on(power=1.0)\n"
    )
    made = []
    postprocess = ms_swift.LambdaGRPOTrainer._postprocess_batch

    def kept(self, samples, batches):
        postprocess(self, samples, batches)
        made.append((self, batches))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ms_swift.LambdaGRPOTrainer, "_postprocess_batch", kept)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("USE_HF", "1")
        rlhf_main(
            RLHFArguments(
                rlhf_type="grpo", model=str(tiny_model(folder / "model")), model_type="qwen2", template="chatml",
                dataset=[str(prompts(folder / "prompts.jsonl"))], external_plugins=[str(plugin)],
                reward_funcs=["short"],
                num_generations=K, per_device_train_batch_size=8, gradient_accumulation_steps=2, max_steps=2, beta=0.04,
                max_completion_length=8, temperature=1.0, top_k=2, tuner_type="full", torch_dtype="float32",
                use_vllm=False, report_to=[], split_dataset_ratio=0, save_strategy="no", padding_free=False,
                output_dir=str(folder / "out"), log_completions=True, logging_steps=1, dataloader_num_workers=0,
            )
        )  # fmt: skip
    return SimpleNamespace(trainer=made[0][0], generations=[batches for _, batches in made], folder=folder)


def real_rows(batches):
    """Of each row of a generation: its real ids, its loss flags, its weights of loss tokens."""
    for batch in batches:
        inputs, grpo = batch["model_inputs"], batch["grpo_batch"]
        width = grpo.completion_mask.shape[1]
        for n, ids in enumerate(inputs["input_ids"]):
            flags = torch.zeros(len(ids), dtype=torch.bool)
            flags[-width:] = grpo.completion_mask[n]
            real = inputs["attention_mask"][n].bool()
            yield ids[real].tolist(), flags[real].tolist(), grpo.lambda_weights[n][grpo.completion_mask[n]].tolist()


def by_sets(rows, power=1.0):
    """|λ|^-p of the loss tokens of each row by counting rows of the group that agree up to the token."""
    found = []
    for n, (ids, flags) in enumerate(rows):
        group = [other for other, _ in rows[n // K * K : n // K * K + K]]
        sizes = [sum(other[: t + 1] == ids[: t + 1] for other in group) for t in range(len(ids))]
        found.append([size**-power for size, flag in zip(sizes, flags, strict=True) if flag])
    return found


def test_a_training_has_the_weights_of_its_process_sets(run):
    assert type(run.trainer) is ms_swift.LambdaGRPOTrainer
    assert len(run.generations) == 2
    for batches in run.generations:
        rows = list(real_rows(batches))
        expected = by_sets([(ids, flags) for ids, flags, _ in rows])
        for (_, _, weights), sets in zip(rows, expected, strict=True):
            assert weights == pytest.approx(sets, abs=1e-7)
        assert 0 < sum(w < 1 for row in expected for w in row) < sum(map(len, expected))


def test_what_it_logs_by_itself_is_read(run):
    (log,) = run.folder.glob("out/**/completions.jsonl")
    (read,) = read_rollouts([log])
    rollouts = read.table
    assert rollouts["group"].value_counts()["count"].to_list() == [K] * 8
    assert rollouts["reward"].n_unique() > 1


def sample(prompt, turns, masks=None):
    """A rollout as ms-swift keeps it; with masks also those of a tool's words in it."""
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": "x"}]
    return GRPOSample(
        messages=messages, response_token_ids=turns, response_loss_mask=masks or [], finish_reason="stop"
    )  # fmt: skip


def own_samples(second="a longer prompt"):
    """Two groups of unequal lengths; in the first a tool's words (out of the loss) part two rows."""
    tool = [[1, 1, 0, 0, 1]]
    return [
        sample("a", [[10, 11, 90, 91, 12]], tool),
        sample("a", [[10, 11, 90, 92, 12]], tool),
        sample("a", [[10, 11, 90, 91, 12]], tool),
        sample("a", [[10, 13]]),
        sample(second, [[10]]),
        sample(second, [[10, 11, 22, 23, 24, 25, 26]]),
        sample(second, [[10, 11, 22, 23]]),
        sample(second, [[30, 31]]),
    ]


@pytest.fixture
def batch(run):
    """Our own rows through ms-swift's encoding, collation and advantages."""
    trainer, samples = run.trainer, own_samples("a")  # one prompt drawn twice: two groups that share nothing
    trainer.model.train()
    rewards = torch.tensor([[1.0], [0.0], [0.5], [0.0], [1.0], [0.0], [1.0], [0.2]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.args, "steps_per_generation", 1)
        batches = trainer._prepare_batch_inputs(samples)
        trainer._rewards_per_func = rewards
        trainer._postprocess_batch(samples, batches)
    (only,) = batches
    generator = torch.Generator().manual_seed(0)
    grpo = only["grpo_batch"]
    noise = [torch.randn(grpo.old_per_token_logps.shape, generator=generator) for _ in range(3)]
    # Ratios on both sides of the clip bounds, and a KL.
    grpo.rollout_per_token_logps = grpo.old_per_token_logps + 0.3 * noise[2]
    grpo.ref_per_token_logps = grpo.old_per_token_logps + 0.5 * noise[1]
    grpo.old_per_token_logps = grpo.old_per_token_logps + 0.3 * noise[0]
    return only


def test_tools_part_completions_and_have_no_weight_themselves(batch):
    rows = list(real_rows([batch]))
    weights = [row for _, _, row in rows]
    assert weights == [pytest.approx(row) for row in by_sets([(ids, flags) for ids, flags, _ in rows])]
    assert weights[0][:3] == pytest.approx([1 / 4, 1 / 3, 1 / 2])  # 10 11, then 12 behind the tool's words
    assert weights[1][:3] == pytest.approx([1 / 4, 1 / 3, 1])


@pytest.mark.parametrize("padding", ["right", "left", "free"])
def test_the_loss_mask_has_the_loss_tokens_in_their_order(run, padding, monkeypatch):
    """So weights that are laid on the mask one after another lie on their tokens, however rows are padded."""
    template, samples = run.trainer.template, own_samples()
    monkeypatch.setattr(template, "padding_side", "left" if padding == "left" else "right")
    monkeypatch.setattr(template, "padding_free", padding == "free")
    with run.trainer._template_context(template):
        for one in samples:
            one.encoded = encode_sample(one, template)
        expected = [
            token for one in samples
            for token, label in zip(one.encoded["input_ids"], one.encoded["labels"], strict=True) if label != -100
        ]  # fmt: skip
        inputs, grpo = collate_to_grpo_micro_batch(
            samples, template, device=torch.device("cpu"), use_logits_to_keep=True
        )  # fmt: skip
    ids = inputs["input_ids"][:, -grpo.logits_to_keep :].float()
    if padding == "free":
        assert len(ids) == 1
        ids, _ = pad_logps_back_to_batch(
            ids, logits_to_keep=grpo.logits_to_keep, batch_size=len(samples), seq_lengths=grpo.seq_lengths
        )
    assert ids[grpo.completion_mask].tolist() == expected


def test_groups_that_go_on_in_another_process(run, batch, monkeypatch):
    samples = own_samples()
    with run.trainer._template_context(run.trainer.template):
        for one in samples:
            one.encoded = encode_sample(one, run.trainer.template)
    everyone = [list(one.encoded["input_ids"]) for one in samples]
    whole = by_sets([(one.encoded["input_ids"], np.array(one.encoded["labels"]) != -100) for one in samples])
    monkeypatch.setattr(ms_swift, "gather_object", lambda rows: everyone)
    for rank in range(4):  # two rows each, so every group lies on two processes
        this = SimpleNamespace(
            accelerator=SimpleNamespace(process_index=rank), num_generations=K, lambda_power=1.0,
            lambda_kind="process-set",
        )  # fmt: skip
        found = ms_swift.LambdaGRPOTrainer._loss_token_weights(this, samples[2 * rank : 2 * rank + 2])
        assert [row.tolist() for row in found] == [pytest.approx(row) for row in whole[2 * rank : 2 * rank + 2]]


def gradients(trainer, batch, loss_of):
    """Gradient of all parameters under a loss function."""
    trainer.model.zero_grad()
    loss, _ = loss_of(trainer, trainer.model, batch["model_inputs"], batch["grpo_batch"])
    loss.backward()
    found = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]).double()
    trainer.model.zero_grad()
    return found


def with_one_line():
    """ms-swift's own loss with the weight multiplied in behind the KL term, as a function of a plain GRPOTrainer."""
    source = inspect.getsource(GRPOTrainer._compute_loss_and_metrics)
    assert source.count(AFTER) == 1
    names = vars(sys.modules[GRPOTrainer.__module__]) | {}
    exec("class Of:\n" + source.replace(AFTER, LINE + AFTER), names)  # noqa: S102
    return names["Of"]._compute_loss_and_metrics


def apart(run, batch, settings, monkeypatch):
    """How far the gradient lies from that of the loss with the line in it, and how far without any weight."""
    trainer = run.trainer
    # 4.6.0 takes every run for one that may teach itself, and then refuses fipo and the sequence mask by itself.
    for name, value in {**settings, "_has_teacher": False}.items():
        monkeypatch.setattr(trainer, name, value)
    ours = gradients(trainer, batch, ms_swift.LambdaGRPOTrainer._compute_loss_and_metrics)
    with monkeypatch.context() as patch:
        patch.setattr(ms_swift, "weigh_gradient", lambda *_: None)
        expected = gradients(trainer, batch, with_one_line())
        plain = gradients(trainer, batch, ms_swift.LambdaGRPOTrainer._compute_loss_and_metrics)
    return ((ours - expected).norm() / expected.norm()).item(), ((plain - expected).norm() / expected.norm()).item()


GRID = [
    *({"loss_type": loss, "beta": beta} for loss in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "fipo")
      for beta in (0.0, 0.3)),
    {"loss_type": "cispo", "epsilon_high": 1.2, "beta": 0.3},
    {"importance_sampling_level": "sequence_token", "beta": 0.3},
    {"rollout_importance_sampling_mode": "token_truncate", "disable_rollout_importance_sampling": False, "beta": 0.3},
    {"rollout_importance_sampling_mode": "sequence_mask", "disable_rollout_importance_sampling": False, "beta": 0.3},
    {"off_policy_sequence_mask_delta": 0.01, "beta": 0.3},
    {"compute_entropy": True, "top_entropy_quantile": 0.5, "beta": 0.3},
]  # fmt: skip


@pytest.mark.parametrize("settings", GRID, ids=lambda s: "-".join(map(str, s.values())))
def test_the_gradient_is_that_of_the_loss_with_the_weight_multiplied_in(run, batch, settings, monkeypatch):
    if "top_entropy_quantile" in settings:
        monkeypatch.setattr(run.trainer.args, "top_entropy_quantile", settings["top_entropy_quantile"])
    difference, unweighted = apart(run, batch, settings, monkeypatch)
    assert difference < 1e-6
    assert unweighted > 1e-2


def test_a_ratio_of_a_whole_completion_cannot_be_weighted_by_token(run, batch, monkeypatch):
    difference, _ = apart(run, batch, {"importance_sampling_level": "sequence", "beta": 0.3}, monkeypatch)
    assert difference > 1e-2


@pytest.mark.parametrize(
    "setting",
    [
        {"use_liger_kernel": True},
        {"loss_type": "real"},
        {"importance_sampling_level": "sequence"},
        {"sdar_loss_coef": 0.1},
        {"kl_in_reward": True},
    ],
    ids=lambda s: next(iter(s)),
)
def test_what_is_refused(run, setting):
    names = "use_liger_kernel loss_type importance_sampling_level sdar_loss_coef kl_in_reward beta"
    good = {name: getattr(run.trainer.args, name) for name in names.split()}
    ms_swift.refuse(SimpleNamespace(**good))
    with pytest.raises(UsageError, match=next(iter(setting))):
        ms_swift.LambdaGRPOTrainer(args=SimpleNamespace(**good | setting))


def test_rows_of_one_trajectory_are_refused(run, monkeypatch):
    monkeypatch.setattr(GRPOTrainer, "_postprocess_batch", lambda *_: None)
    monkeypatch.setattr(run.trainer, "dynamic_num_samples", True)
    with pytest.raises(UsageError, match="several rows of one trajectory"):
        run.trainer._postprocess_batch([], [])


def test_a_teacher_is_refused(run, batch, monkeypatch):
    monkeypatch.setattr(GRPOTrainer, "_postprocess_batch", lambda *_: None)
    monkeypatch.setattr(run.trainer, "_loss_token_weights", lambda _: [])
    monkeypatch.setattr(run.trainer, "split_by_mini_batches", lambda _: [[]])
    monkeypatch.setattr(batch["grpo_batch"], "teacher_per_token_logps", torch.zeros(8, 7))
    with pytest.raises(UsageError, match="teacher_prompt"):
        run.trainer._postprocess_batch([], [batch])


def test_without_a_power_the_trainer_is_ms_swifts_own(run):
    try:
        ms_swift.switch_on(0.0)
        assert TrainerFactory.TRAINER_MAPPING["grpo"] == "swift.rlhf_trainers.GRPOTrainer"
    finally:
        ms_swift.switch_on(1.0)
    assert TrainerFactory.TRAINER_MAPPING["grpo"] == "grpo_prm.integrations.ms_swift.LambdaGRPOTrainer"


def test_megatron_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "swift.megatron", SimpleNamespace())
    with pytest.raises(UsageError, match="megatron rlhf"):
        ms_swift.switch_on()


def test_a_loss_from_elsewhere_is_noticed(run, monkeypatch):
    monkeypatch.setattr(GRPOTrainer, "training_step", lambda *_: torch.zeros(()))
    with pytest.raises(UsageError, match="λ-GRPO would be GRPO"):
        run.trainer.training_step(None, None)


def test_without_a_power_it_is_ms_swift_to_the_bit(run, batch, monkeypatch):
    monkeypatch.setattr(batch["grpo_batch"], "lambda_weights", batch["grpo_batch"].completion_mask.float())
    ours = gradients(run.trainer, batch, ms_swift.LambdaGRPOTrainer._compute_loss_and_metrics)
    monkeypatch.setattr(ms_swift, "weigh_gradient", lambda *_: None)
    assert torch.equal(ours, gradients(run.trainer, batch, ms_swift.LambdaGRPOTrainer._compute_loss_and_metrics))


def test_the_commands_of_the_page_have_options_of_this_version():
    page = (Path(__file__).parents[2] / "docs" / "trainers" / "ms-swift.md").read_text(encoding="utf-8")
    commands = re.search(r"```bash\n(.*?)```", page, re.DOTALL).group(1)
    options = set(re.findall(r"--(\w+)", commands))
    assert len(options) > 15
    assert options - {field.name for field in dataclasses.fields(RLHFArguments)} == set()
    for name in set(re.findall(r"\b([A-Z_]+)=", commands)):
        assert name in inspect.getsource(swift_launcher.get_torchrun_args)
    assert {"accuracy", "format"} <= set(orms)


@pytest.mark.parametrize("wrong", [{"kind": "position"}, {"power": -1.0}])
def test_weights_that_there_are_not_are_refused_at_once(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ms_swift.switch_on(**wrong)
