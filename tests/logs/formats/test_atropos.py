"""atropos 0.4: a ScoredDataGroup a line, prompts and completions in one list of ids."""

import pytest
from logs.formats.trained import K, advantage, groups, in_loss, read, rollouts, truth, write_lines


def group(members, **more):
    labels = [[t if m else -100 for t, m in zip(r.ids, r.mask, strict=True)] for r in members]
    return {
        "tokens": [r.prompt + r.ids for r in members],
        "masks": [[-100] * len(r.prompt) + own for r, own in zip(members, labels, strict=True)],
        "scores": [r.reward for r in members],
        "messages": [[{"role": "user", "content": r.question}] for r in members],
        "advantages": None,
        "ref_logprobs": None,
        "overrides": None,
        "group_overrides": None,
        **{name: [value(r) for r in members] for name, value in more.items()},
    }


def write(path, made, **more):
    return write_lines(path, [group(made[at : at + K], **more) for at in range(0, len(made), K)])


def test_a_line_is_a_group_also_where_a_prompt_comes_again(tmp_path):
    made = rollouts()  # the problems of the first step come again in the second
    done = read(write(tmp_path / "groups.jsonl", made))
    assert done.format == "atropos" and not len(done.rejected)
    assert groups(done, steps=False) == truth(made, steps=False)
    assert done.table["prompt"].n_unique() == 3 and in_loss(done) == (4, 5)
    assert done.table["tokens"].to_list() == [r.ids for r in made]
    assert "-100 is out of the loss" in " ".join(done.notes) and "equal scores" in " ".join(done.notes)


@pytest.mark.parametrize("a_token", [False, True])
def test_advantages_and_logprobs_are_those_of_the_completion(tmp_path, a_token):
    made = rollouts()

    def advantages(r):
        return [0.0] * len(r.prompt) + [advantage(r) if m else 0.0 for m in r.mask] if a_token else advantage(r)

    probs = {"inference_logprobs": lambda r: [1.0] * len(r.prompt) + r.logprobs}
    done = read(write(tmp_path / "groups.jsonl", made, advantages=advantages, **probs))
    assert done.table["advantage"].to_list() == pytest.approx(list(map(advantage, made)))
    assert done.table["logprobs"].to_list() == [r.logprobs for r in made]


def test_a_group_whose_lists_do_not_fit_is_one_rejected_row(tmp_path):
    made = rollouts((1,))
    lines = [group(made[at : at + K]) for at in range(0, len(made), K)]
    lines[1]["scores"] = [1.0]
    done = read(write_lines(tmp_path / "groups.jsonl", lines))
    assert done.rejected.select("line", "field", "reason").rows() == [(2, "scores", "1 values for 4 completions")]
    assert groups(done, steps=False) == truth([r for r in made if r.problem != 1], steps=False)


def test_the_prompt_is_cut_off_and_counted_with_and_without_the_mask(tmp_path):
    made = rollouts((1,))
    path = write(tmp_path / "groups.jsonl", made)
    for options in ({}, {"columns": {"mask": "-"}}):
        done = read(path, **options)
        assert done.table["tokens"].to_list() == [r.ids for r in made]
        assert done.counts["prompt_tokens"] == sum(len(r.prompt) for r in made)
        assert not done.counts["groups_prompts_differ"] and not done.counts["groups_fronts_differ"]


def test_turns_with_other_turns_before_them_are_told_apart_from_a_wrong_key(tmp_path):
    """The second group's rows are second turns, each behind a first turn of its own."""
    made = rollouts((1,))
    turns = [r._replace(prompt=[*r.prompt, n]) if r.problem == 1 else r for n, r in enumerate(made)]
    done = read(write(tmp_path / "groups.jsonl", turns))
    assert done.counts["groups_prompts_differ"] == done.counts["groups_fronts_differ"] == 1
