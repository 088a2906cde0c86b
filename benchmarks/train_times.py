"""Training steps beside TRL's GRPOTrainer, tree-packed beside padded updates, and what the diagnostics cost."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from processes import measure
from tables import at_least, at_most, table

from grpo_prm.analysis.group_sums import group_sums
from grpo_prm.train.batch import Batch, batch_tokens
from grpo_prm.train.config import TrainConfig
from grpo_prm.train.sample import sample
from grpo_prm.train.update import update

K, NEW = 8, 64


class Setting(NamedTuple):
    """A model and its prompts."""

    layers: int
    width: int
    words: int
    prompt: int
    groups: int = 8

    def __str__(self) -> str:
        return f"{self.layers} x {self.width}, vocabulary {self.words:,}, {self.groups} prompts of {self.prompt} x {K}"


NAMED = Setting(4, 128, 2_000, 128)
BESIDE = (NAMED, Setting(4, 128, 300, 16), Setting(6, 256, 2_000, 128))


def model_of(setting: Setting) -> Any:
    """A Qwen2 model with random weights."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    heads = setting.width // 32
    config = Qwen2Config(
        vocab_size=setting.words,
        hidden_size=setting.width,
        intermediate_size=4 * setting.width,
        num_hidden_layers=setting.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=1024,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config)


def tokenizer_of(setting: Setting) -> Any:
    """Words that are numbers; 0 pads and 1 ends."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({str(n): n for n in range(setting.words)}, unk_token="2"))  # noqa: S106 - a word
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="0", eos_token="1")  # noqa: S106


def prompts_of(setting: Setting) -> list[list[int]]:
    """Random ids, none of them special."""
    return np.random.default_rng(0).integers(3, setting.words, (setting.groups, setting.prompt)).tolist()


def rewards_of(completions: Sequence[Sequence[int]]) -> list[float]:
    """Something that differs within every group."""
    return [(sum(row) * 31 + len(row)) % 97 / 97 for row in completions]


def config_of(setting: Setting, **settings: Any) -> TrainConfig:
    """Our side of the comparison."""
    fixed = {"group_size": K, "prompts": setting.groups, "max_new_tokens": NEW, "learning_rate": 1e-6, "power": 1.0}
    return TrainConfig(**(fixed | {"packing": "padded", "token_budget": 1 << 30} | settings))


def our_steps(setting: Setting, steps: int) -> float:
    """Seconds a step: sampling, rewards, update, diagnostics."""
    model, prompts, config = model_of(setting), prompts_of(setting), config_of(setting)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    begin = 0.0
    for step in range(steps + 1):
        begin = begin or time.perf_counter() * (step > 0)  # the first step warms up
        sampled = sample(
            model, prompts, K, seed=0, step=step, names=range(len(prompts)), max_new_tokens=NEW, eos=frozenset([1])
        )
        batch = Batch(prompts, sampled.completions, K, np.array(rewards_of(sampled.completions)), sampled.truncated)
        update(model, optimizer, batch, config)
        group_sums(batch.measured(config.std))
    return (time.perf_counter() - begin) / steps


def trl_data(setting: Setting) -> Any:
    """The prompts as TRL takes them."""
    from datasets import Dataset

    return Dataset.from_list([{"prompt": " ".join(map(str, prompt))} for prompt in prompts_of(setting)])


def trl_arguments(setting: Setting, folder: str, steps: int, new: int = NEW) -> dict[str, Any]:
    """Settings of a GRPOConfig: one more step than `steps`, which warms up."""
    fixed = {"disable_dropout": True, "learning_rate": 1e-6, "beta": 0.0, "bf16": False, "use_cpu": True}
    quiet = {"gradient_checkpointing": False, "save_strategy": "no", "report_to": [], "disable_tqdm": True}
    return {
        "output_dir": folder,
        "per_device_train_batch_size": setting.groups * K,
        "num_generations": K,
        "max_completion_length": new,
        "max_steps": steps + 1,
        "logging_steps": 100,
        **fixed,
        **quiet,
    }


def trl_steps(setting: Setting, steps: int) -> float:
    """Seconds a step of TRL on the same prompts and rewards."""
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model_of(setting),
            reward_funcs=lambda completion_ids, **_: rewards_of(completion_ids),
            args=GRPOConfig(**trl_arguments(setting, folder, steps)),
            train_dataset=trl_data(setting),
            processing_class=tokenizer_of(setting),
            callbacks=[Clock()],
        )
        trainer.train()
    # From the end of the first step on, which warms up as ours does.
    return (times[-1] - times[0]) / (len(times) - 1)


def trl_table(settings: Sequence[Setting], steps: int, rounds: int) -> str:
    """Steps of both, in turn."""
    rows = []
    for setting in settings:
        pairs = [(trl_steps(setting, steps), our_steps(setting, steps)) for _ in range(rounds)]
        theirs, ours = np.min(pairs, axis=0).tolist()
        target = at_least(theirs / ours, 1.5) if setting == NAMED else ""
        rows.append([str(setting), f"{theirs:.3f}", f"{ours:.3f}", f"{theirs / ours:.2f}", target])
    note = f"{NEW} new tokens, padded updates, rewards that differ in every group; the least of {rounds} rounds."
    return table("Training steps beside TRL", note, ["setting", "TRL, s", "ours, s", "ratio", "target"], rows)


def overhead_table(rounds: int) -> str:
    """λ weights and diagnostics as a share of a step of the named setting."""
    model, prompts, config = model_of(NAMED), prompts_of(NAMED), config_of(NAMED)
    sampled = sample(model, prompts, K, seed=0, step=0, names=range(8), max_new_tokens=NEW, eos=frozenset([1]))
    rewards = np.array(rewards_of(sampled.completions))

    def weigh() -> Batch:
        # a batch that nothing has been asked of: it keeps its forest once it is built
        batch = Batch(prompts, sampled.completions, K, rewards, sampled.truncated)
        batch_tokens(batch, config)
        return batch

    weights = least(weigh, rounds)
    both = least(lambda: group_sums(weigh().measured(config.std)), rounds)
    step = our_steps(NAMED, 3)
    share = both / step
    cells = [f"{weights * 1e3:.2f}", f"{both * 1e3:.2f}", f"{step * 1e3:.0f}", f"{share:.2%}", at_most(share, 0.01)]
    head = ["weights, ms", "weights and diagnostics, ms", "step, ms", "share", "target"]
    return table("What weights and diagnostics cost", str(NAMED), head, [cells])


def packing_table(shares: Sequence[float], rounds: int, *, prompt: int = 256, length: int = 256) -> str:
    """Forward and backward of one update, tree-packed and padded: time, and memory in processes of their own."""
    setting = packing_setting(prompt)
    model, rows = model_of(setting), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for share in shares:
        batch = shared_batch(setting, share, length)
        seconds = {"padded": np.inf, "tree": np.inf, "auto": np.inf}
        for _ in range(rounds):
            for kind in seconds:
                config = config_of(setting, packing=kind, max_new_tokens=length)
                seconds[kind] = min(seconds[kind], least(lambda c=config, b=batch: update(model, optimizer, b, c), 1))
        tree, auto = (seconds["padded"] / seconds[kind] for kind in ("tree", "auto"))
        times = [f"{s:.2f}" for s in seconds.values()]
        targets = [at_least(tree, 2) if share == 0.75 else "", at_least(auto, 0.95)]
        memory = [f"{megabytes:.0f}" for megabytes in update_memory(share, prompt, length)]
        rows.append([f"{share:.2f}", *times, f"{tree:.2f}", targets[0], f"{auto:.2f}", targets[1], *memory])
    ratios = ["padded / tree", "target", "padded / auto", "target"]
    head = ["shared", "padded, s", "tree, s", "auto, s", *ratios, "padded, MB", "tree, MB"]
    note = f"{setting}, completions of {length}, float32; the least of {rounds}. MB: peak above that before the update."
    return table("Tree-packed updates", note, head, rows)


def packing_setting(prompt: int) -> Setting:
    """The model on which packing is measured."""
    return Setting(6, 256, 2_000, prompt, 2)


def update_memory(share: float, prompt: int, length: int) -> tuple[float, float]:
    """What a padded and a tree-packed update add to the peak memory of a process, MB."""
    script = str(Path(__file__).with_name("one_update.py"))
    # The peak of a process never falls, so each layout has one of its own.
    before, padded, tree = (
        measure([sys.executable, script, layout, str(share), str(prompt), str(length)]).megabytes
        for layout in ("none", "padded", "tree")
    )
    return padded - before, tree - before


def shared_batch(setting: Setting, share: float, length: int) -> Batch:
    """Completions that share so much of their length with half of their group."""
    rng = np.random.default_rng(1)
    same = int(share * length)
    rows = []
    # Two halves of a group go together for `same` tokens, and both halves for half of that: a root and two branches.
    for _ in range(setting.groups):
        halves = rng.integers(3, setting.words, (2, same))
        halves[1, : same // 2] = halves[0, : same // 2]
        rows += [[*halves[i % 2].tolist(), *rng.integers(3, setting.words, length - same).tolist()] for i in range(K)]
    return Batch(prompts_of(setting), rows, K, np.array(rewards_of(rows)), np.ones(len(rows), bool))


def least(call: Callable[[], Any], rounds: int) -> float:
    """Seconds of the fastest call."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)
