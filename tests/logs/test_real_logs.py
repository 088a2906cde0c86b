"""Real logs, where they lie beside the project: each is read, or refused with the right reason."""

from pathlib import Path

import pytest
from logs.log_files import balanced

from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs import ReadOptions, collect, inspect

REAL = Path(__file__).parents[3] / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not there")


def sizes(rollouts):
    k = rollouts.table.group_by("group").len()["len"]
    return dict(sorted(k.value_counts().rows(), reverse=True))


@pytest.mark.parametrize(
    ("name", "expected", "options"),
    [
        ("verl_hecate_gsm8k_tool_step2_k16.jsonl", {16: 64}, {}),
        ("prime_hosted_rl", {8: 15, 1: 3}, {}),
        ("qwen25math_math_cot_100_k8.jsonl", {8: 100}, {}),
        ("atropos_rubiks_process_results_k4_tokens.jsonl", {4: 6}, {}),
        ("atropos_cybersec_objreward_k8_tokens.jsonl", {8: 2}, {}),
        ("tot_game24_gpt4_cot_k100.json", {100: 100}, {"columns": {"completion": "ys", "reward": "infos.r"}}),
        ("taubench_gpt4o_airline_k4.json", {4: 50}, {}),
        ("cruxeval_codellama7b_output_k10.json", {10: 800}, {}),
        ("reasoninggym_games_qwen3b_step500_cognition_k3.json", {3: 700}, {}),
        ("verifiers_v01_network_logs_k3_results.jsonl", {3: 10}, {}),
    ],
)
def test_groups_of_a_real_log(name, expected, options):
    got = collect(REAL / name, ReadOptions(**options))
    assert sizes(got) == expected and balanced(got) and not len(got.rejected)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tot_game24_gpt4_cot_k100.json", "no column .* Perhaps it is --columns completion=ys,reward=infos.r; "),
    ],
)
def test_what_is_not_known_is_refused_with_its_columns(name, reason):
    with pytest.raises(GrpoPrmError, match=reason):
        collect(REAL / name)


def test_what_inspect_says_of_a_real_log():
    seen = inspect(REAL / "prime_hosted_rl")
    assert seen.formats == ("prime-hosted",) and seen.columns["group"] == "problem_id" and len(seen.runs) == 6
    assert seen.steps == {"first": 0, "last": 40, "count": 2} and seen.group_sizes == {1: 3, 8: 15}
    assert seen.groups_split == 4 and seen.groups_of_one == 3 and seen.unit == "piece" and seen.group_size == 8
    assert any(m.startswith("no token ids") for m in seen.missing) and not seen.rejected
