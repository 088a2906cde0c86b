"""Settings: what is given wins over what is preferred, and what cannot be meant is refused by file, line and key."""

import math
import re
from dataclasses import fields
from typing import Literal, get_args, get_origin

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grpo_prm.errors import UsageError
from grpo_prm.tasks import TASKS, get_task
from grpo_prm.train.config import TrainConfig, check_goes_on, make_config, to_yaml
from grpo_prm.train.config_file import HINTS, flag
from grpo_prm.train.settings import ABOUT, NAMES

OWN = {"model": "m", "data": "d.jsonl", "reward": ("exact",)}
NUMBERS = [name for name in NAMES if get_args(HINTS[name] | None)[0] in (int, float)]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def refused(flags=None, path=None):
    with pytest.raises(UsageError) as error:
        make_config(flags, path)
    said = str(error.value)
    assert re.fullmatch(r".+[.?] [A-Z-].+[.?]", said, re.DOTALL) or "--help lists" in said, said  # two sentences
    return said


def test_without_anything_it_is_the_chain_task_as_the_task_likes_it():
    config, task = make_config(), get_task("chain")
    assert (config.task, config.out, config.max_new_tokens) == ("chain", "lambda1-chain.run", task.limit)
    assert all(getattr(config, name) == value for name, value in task.defaults.items())
    assert config.power == 1.0 and config.weights == "process-set"


@pytest.mark.parametrize("name", TASKS)
def test_defaults_of_every_task_can_be_meant(name):
    config = make_config({"task": name})
    assert {name: getattr(config, name) for name in get_task(name).defaults} == dict(get_task(name).defaults)


def test_flags_before_the_file_before_the_task(tmp_path):
    path = write(tmp_path / "run.yaml", "task: binary-tree\nsteps: 7\nlearning-rate: 1e-4\nlambda: 0.5\nsystem: null\n")
    config = make_config({"steps": 9, "seed": None, "lambda": 2}, path)
    assert (config.steps, config.learning_rate, config.power, config.seed) == (9, 1e-4, 2.0, 0)
    assert (config.task, config.prompts, config.group_size) == ("binary-tree", 1, 16)
    assert isinstance(config.power, float)


def test_a_model_of_ones_own_learns_slowly():
    config = make_config(OWN)
    assert (config.task, config.learning_rate, config.max_new_tokens) == (None, 1e-6, 512)
    assert make_config(OWN | {"learning_rate": 1e-3}).learning_rate == 1e-3
    both = make_config({"model": "m", "task": "chain"})  # the task's prompts, one's own model
    assert (both.task, both.learning_rate, both.max_new_tokens) == ("chain", 1e-6, get_task("chain").limit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nlambada: 1\n", "line 2: there is no setting called lambada. Did you mean lambda?"),
        ("power: 1\n", "line 1: there is no setting called power. Did you mean lambda?"),
        ("Learning-Rat: 1\n", "line 1: there is no setting called Learning-Rat. Did you mean learning_rate?"),
        ("xyz: 1\n", "line 1: there is no setting called xyz. grpo-prm train --help lists the settings."),
        ("resume: true\n", "line 1: there is no setting called resume."),
        ("steps: 3\n\nsteps: 4\n", "line 3: steps stands in the file twice."),
        ("max-new-tokens: 3\nmax_new_tokens: 4\n", "line 2: max_new_tokens stands in the file twice."),
        ("steps: 3.5\n", "line 1: steps is 3.5, but must be a whole number. Change it."),
        ("steps: true\n", "line 1: steps is True, but must be a whole number."),
        ("lambda: true\n", "line 1: lambda is True, but must be a number."),
        ("lambda: one\n", "line 1: lambda is 'one', but must be a number."),
        ("split: no\n", "line 1: split is False, but must be text."),
        ("steps: null\n", "line 1: steps is None, but must be a whole number."),
        ("threads: a\n", "line 1: threads is 'a', but must be a whole number or null."),
        ("weights: parents\n", "line 1: weights is 'parents', but must be one of process-set, parent, position, none."),
        ("match_scale: 1\n", "line 1: match_scale is 1, but must be true or false."),
        ("reward: [exact, 3]\n", "line 1: reward is ['exact', 3], but must be a list of texts."),
        ("reward: {exact: 1}\n", "line 1: reward is {'exact': 1}, but must be a list of texts."),
        ("- 1\n", "holds no settings."),
        ("a: [\n", "not YAML"),
        ("task: !!python/object:os.system x\n", "not YAML"),
        ("task: chian\n", "Did you mean chain?"),
    ],
)
def test_a_file_that_cannot_be_meant(tmp_path, text, said):
    path = write(tmp_path / "run.yaml", text)
    found = refused(path=path)
    assert said in found and (str(path) in found or "chian" in text)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    assert str(tmp_path / "no.yaml") in refused(path=tmp_path / "no.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00x")
    assert "b.yaml: cannot be read" in refused(path=tmp_path / "b.yaml")
    assert make_config(path=write(tmp_path / "empty.yaml", "# nothing\n")) == make_config()


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_range(name):
    """Its bound can be meant (but for what it goes with), what lies beyond it cannot, nor can what is not finite."""
    _, least, over, most = ABOUT[name]
    assert (least is None) != (over is None)
    whole = get_args(HINTS[name] | None)[0] is int
    for value in [] if whole else [math.nan, math.inf, -math.inf]:
        assert flag(name) in refused({name: value})
    below = over if least is None else least - (1 if whole else 1e-9)
    assert refused({name: below}).startswith(f"{flag(name)} is {below + (0 if whole else 0.0)}, but must be ")
    if most is not None:
        assert f"at most {most}" in refused({name: most + 0.001})
        assert getattr(make_config({name: most}), name) == most
    at = least if whole else 1e-9
    assert getattr(make_config({name: at} | ({"optimizer": "adamw"} if name == "weight_decay" else {})), name) == at


def test_what_is_bounded_is_what_was_meant():
    above_0 = {name for name, about in ABOUT.items() if about.above == 0}
    assert above_0 == {"temperature", "loss_temperature", "learning_rate", "reward_timeout", "max_grad_norm", "top_p"}
    assert {name for name, about in ABOUT.items() if about.most == 1} == {"top_p", "clip_low"}
    assert {name for name, about in ABOUT.items() if about.least == 2} == {"group_size"}
    least_0 = {name for name, about in ABOUT.items() if about.least == 0}
    assert {"seed", "top_k", "lora", "eval_every", "power", "beta", "clip_low"} < least_0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"match_scale": True, "match_norm": True}, "two controls"),
        ({"match_scale": True, "weights": "parent"}, "--weights parent"),
        ({"match_norm": True, "weights": "none"}, "--weights none"),
        ({"match_norm": True, "weights": "position"}, "--weights position"),
        ({"model": "m"}, "--data and --reward"),
        ({"data": "d"}, "--model and --reward"),
        ({"reward": "exact"}, "--model and --data"),
        ({"model": "m", "data": "d"}, "needs --reward too"),
        ({"task": "chain", "data": "d"}, "Leave out --data"),
        ({"task": "chain", "model": "m", "reward": "exact"}, "Leave out --reward"),
        ({"eval_data": "d"}, "Leave out --eval-data"),
        ({"system": "Think."}, "Leave out --system"),
        ({**OWN, "eval_every": 5}, "--eval-data"),
        ({"dtype": "bfloat16"}, "float32"),
        ({"weight_decay": 0.1}, "--weight-decay is for adamw"),
        ({"warmup_steps": 20, "steps": 10}, "--warmup-steps 20 is more than --steps 10"),
        ({"vllm": True}, "Give --backend trl"),
        ({"backend": "trl", "vllm": True, "device": "cpu"}, "leave out --vllm"),
        ({"backend": "trl", "match_norm": True}, "--match-norm needs a second backward pass"),
        (
            {"backend": "trl", "packing": "tree"},
            "--packing is tree, and TRL reads every completion whole. Leave",
        ),
        ({"backend": "trl", "std": "population"}, "--std is population"),
        ({"backend": "trl", "updates_per_batch": 2}, "--updates-per-batch is above 1"),
        ({"backend": "trl", "warmup_steps": 2}, "--warmup-steps are counted from a rate of 0"),
        ({"backend": "trl", "weight_decay": 0.1, "optimizer": "adamw"}, "--weight-decay spares biases"),
        ({"backend": "trl", "device": "cuda:1"}, "or train with --backend own"),
        ({"partial_credit": True}, "The task chain gives no partial credit"),
        ({**OWN, "partial_credit": True}, "--partial-credit is for tasks of reasoning-gym"),
        ({"stepz": 20}, "Did you mean steps?"),
        ({"optimizer": "adm"}, "--optimizer is 'adm', but must be one of adam, adamw, sgd"),
    ],
)
def test_what_does_not_go_together(flags, said):
    assert said in refused(flags)


def test_what_does_go_together():
    assert make_config({"match_norm": True, "power": 0.5, "optimizer": "sgd"}).match_norm
    assert make_config({**OWN, "eval_every": 5, "eval_data": "e"}).eval_data == "e"
    assert make_config({"model": "m", "task": "chain", "dtype": "bfloat16"}).dtype == "bfloat16"
    assert make_config(OWN | {"reward": "exact"}).reward == ("exact",)
    assert make_config({"backend": "trl", "vllm": True, "device": "cuda", "packing": "padded"}).vllm
    assert make_config({"warmup_steps": 10, "steps": 10}).warmup_steps == 10


def values_of(name):
    kinds = [kind for kind in get_args(HINTS[name] | None) if kind is not type(None)]
    if get_origin(kinds[0]) is Literal:
        return st.sampled_from(get_args(kinds[0]))
    texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)
    if kinds[0] is int:
        return st.integers(ABOUT[name].least, 10**6)
    if kinds[0] is float:
        return st.floats(1e-12, 1.0)
    return {bool: st.booleans(), str: texts}.get(kinds[0], st.lists(texts, min_size=1).map(tuple))


@settings(max_examples=40)
@given(st.fixed_dictionaries({name: values_of(name) for name in NAMES if name != "task"}))
@example({**{f.name: f.default for f in fields(TrainConfig)}, **OWN, "system": "\x85\u2028 \ufeff'λ: 答え\n\t\x00"})
def test_the_file_of_a_config_gives_the_config(tmp_path_factory, flags):
    flags |= {"task": None, "partial_credit": False, "match_scale": False, "match_norm": False, "optimizer": "adamw"}
    flags |= {"warm_seed": None, "warm_steps": None, "backend": "own", "vllm": False}
    flags["out"] = flags["out"] or "a.run"  # it would be given a name
    flags["steps"] = max(flags["steps"], flags["warmup_steps"])
    config = TrainConfig(**flags)
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    text = to_yaml(config)
    assert list(yaml.safe_load(text)) == list(NAMES.values())
    assert make_config(path=write(path, text)) == config


def test_a_run_goes_on_with_its_own_settings(tmp_path):
    began = make_config({"steps": 10})
    path = write(tmp_path / "config.yaml", to_yaml(began))
    check_goes_on(began, path)
    check_goes_on(make_config({"steps": 20, "out": "moved.run", "threads": 2, "keep": 5, "save_every": 3}), path)
    with pytest.raises(UsageError, match=r"config\.yaml: differs: lambda was 1\.0 and is 0.5 now\. A run goes on"):
        check_goes_on(make_config({"steps": 10, "power": 0.5}), path)
    falls = make_config({"steps": 10, "schedule": "linear"})
    path = write(tmp_path / "config.yaml", to_yaml(falls))
    check_goes_on(falls, path)
    with pytest.raises(UsageError, match="steps was 10 and is 20 now"):  # the rates so far would have been others
        check_goes_on(make_config({"steps": 20, "schedule": "linear"}), path)
    older = [line for line in to_yaml(began).splitlines(keepends=True) if not line.startswith("lora_alpha")]
    check_goes_on(began, write(path, "".join(older)))  # of a version that knew fewer settings


def test_every_setting_is_said_in_sentences():
    assert list(ABOUT) == [field.name for field in fields(TrainConfig)]
    for about in ABOUT.values():
        assert re.fullmatch(r"[^ ].*[.)]", about.help) and len(about.help) < 120, about.help
