"""What `python -m grpo_prm.integrations` says before any framework is imported."""

import pytest

from grpo_prm.integrations.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "required: framework"),
        (["verl"], "invalid choice"),
        (["nemo-rl"], "NeMo-RL's script is missing"),
        (["--rollouts", "run", "nemo-rl", "run.py"], "records its rollouts by itself"),
        (["--lambda-kind", "position", "openrlhf"], "invalid choice: 'position'"),
    ],
)
def test_wrong_calls(arguments, says, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert says in capsys.readouterr().err


def test_the_help_has_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert capsys.readouterr().out.count("python -m grpo_prm.integrations ") >= 4  # usage, and three of them
