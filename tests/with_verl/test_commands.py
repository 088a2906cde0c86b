"""The commands of docs/trainers/verl.md against verl's own configuration and its own check of it."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config

from grpo_prm.integrations.verl_settings import Settings, settings_of

PAGE = (Path(__file__).parents[2] / "docs/trainers/verl.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def composed(overrides):
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides)


@pytest.mark.parametrize(("command", "gpus"), zip(COMMANDS, (1, 8, 64), strict=True))
def test_a_command_is_one_that_verl_takes(command, gpus):
    words = shlex.split(command.replace("\\\n", " "))
    config = composed(words[words.index("verl.trainer.main_ppo") + 1 :])
    assert config.trainer.n_gpus_per_node * config.trainer.nnodes == gpus
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    assert need_reference_policy(config) and not need_critic(config)
    assert settings_of(config) == Settings()


def test_the_yaml_sets_the_same():
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    usual = composed(["algorithm.adv_estimator=grpo"])
    OmegaConf.set_struct(usual, False)  # a file of one's own adds keys, as + does on the command line
    config = OmegaConf.merge(usual, OmegaConf.create(text))
    assert config.trainer.v1.trainer_mode == "lambda_sync" and settings_of(config) == Settings()
