"""NeMo-Gym 0.4: rollouts as items of the Responses API, in order of arrival."""

import json
import random

from logs.formats.trained import groups, in_loss, read, rewards, rollouts, true_rewards, truth, write_lines


def message(text, **more):
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part], **more}


def items(r, first=None, second=None):
    """Reasoning, a call, its output, and an answer; ids stand on the last item of each model call."""
    call = {
        "type": "function_call",
        "call_id": f"c{r.sample}",
        "name": "add",
        "arguments": json.dumps({"b": 1, "a": 2}),
    }
    return [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": f"think {r.sample % 2}"}]},
        {**call, **(first or {})},
        {"type": "function_call_output", "call_id": f"c{r.sample}", "output": f"sum {r.sample % 3}"},
        message(r.text, **(second or {})),
    ]


def row(r, output=None, **more):
    return {
        "responses_create_params": {"input": [{"role": "user", "content": r.question, "type": "message"}], "tools": []},
        "response": {"object": "response", "output": output or items(r), "incomplete_details": None},
        "reward": r.reward,
        "_ng_task_index": r.problem,
        "_ng_rollout_index": r.sample,
        "agent_ref": {"name": "sums"},
        **more,
    }


def shuffled(rows):
    random.Random(0).shuffle(rows)  # noqa: S311
    return rows


def test_groups_are_tasks_and_tool_output_is_out_of_the_loss(tmp_path):
    made = rollouts((1,))
    done = read(write_lines(tmp_path / "sums_rollouts.jsonl", shuffled([row(r) for r in made])))
    assert done.format == "nemo-gym" and not len(done.rejected)
    assert rewards(done, steps=False) == true_rewards(made, steps=False)
    assert set(done.table["task"]) == {"sums"} and set(done.table["problem"]) == {"0", "1", "2"}
    r = next(r for r in made if r.text == done.table["completion"][0].split("\n")[-1])
    wanted = (
        f'<assistant>\nthink {r.sample % 2}\nadd {{"a": 2, "b": 1}}\n<tool>\nsum {r.sample % 3}\n<assistant>\n{r.text}'
    )
    assert done.table["completion"][0] == wanted
    sampled, units = in_loss(done)
    assert 0 < sampled < units


def test_ids_of_the_model_calls_are_the_units(tmp_path):
    """The first call wrote two ids; the prompt of the second ends with the tool's."""
    made = rollouts((1,))

    def with_ids(r):
        first = {
            "prompt_token_ids": r.prompt,
            "generation_token_ids": r.ids[:2],
            "generation_log_probs": r.logprobs[:2],
        }
        second = {"prompt_token_ids": r.prompt + r.ids[:3], "generation_token_ids": r.ids[3:]}
        return row(r, items(r, first, {**second, "generation_log_probs": r.logprobs[3:]}))

    done = read(write_lines(tmp_path / "a.jsonl", shuffled(list(map(with_ids, made)))))
    assert groups(done, steps=False) == truth(made, steps=False)
    by_ids = {tuple(r.ids): r for r in made if r.problem == 1}
    for found in done.table.filter(problem="1").iter_rows(named=True):
        r = by_ids[tuple(found["tokens"])]
        assert found["mask"] == r.mask and found["logprobs"] == r.logprobs and found["prompt"] == str(r.prompt)


def test_ids_that_do_not_go_on_where_the_last_call_ended_cost_the_row(tmp_path):
    made = rollouts((1,))
    rows = []
    for n, r in enumerate(made):
        first = {"prompt_token_ids": r.prompt, "generation_token_ids": r.ids[:2]}
        start = [1] if n == 5 else r.prompt
        second = {"prompt_token_ids": start + r.ids[:3], "generation_token_ids": r.ids[3:]}
        rows.append(row(r, items(r, first, second)))
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    assert done.rejected.select("line", "field").rows() == [(6, "tokens")]


def test_where_a_model_call_has_no_ids_the_text_is_read(tmp_path):
    made = rollouts((1,))
    rows = [row(r, items(r, {"prompt_token_ids": r.prompt, "generation_token_ids": r.ids[:2]})) for r in made]
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    assert rewards(done, steps=False) == true_rewards(made, steps=False)
    assert set(done.table["tokens_from"]) == {"pieces"} and in_loss(done)[0] < in_loss(done)[1]


def test_other_items_of_the_api(tmp_path):
    """A message of a simulated user is not the policy's; a call of another kind is."""
    made = rollouts((1,))
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]}
    search = {"type": "custom_tool_call", "name": "look", "input": "x"}
    rows = [row(r, [message("first"), said, message(f"then {r.sample}"), search]) for r in made]
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    wanted = "<assistant>\nfirst\n<user>\ngo on\n<assistant>\nthen {}\nlook x"
    assert set(done.table["completion"]) == {wanted.format(n) for n in range(4)}


def test_prompts_of_text_and_a_length_limit(tmp_path):
    rows = [row(r) for r in rollouts((1,))]
    for one in rows:
        one["responses_create_params"] = {"input": f"do {one.pop('_ng_task_index')}"}
        one["response"]["incomplete_details"] = {"reason": "max_output_tokens"} if one["_ng_rollout_index"] else None
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    assert rewards(done, steps=False) == true_rewards(rollouts((1,)), steps=False)
    assert set(done.table["prompt"]) == {"do 0", "do 1", "do 2"} and done.table["truncated"].sum() == 9
