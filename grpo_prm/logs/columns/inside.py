"""What stands inside the completions of a log and is none of theirs: the prompt before them, padding behind them.

Each is the habit of a log: what holds for nine in ten of the first rows is cut off wherever it is so, and is never cut
off otherwise. How often it was cut is counted while the log is read, and said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import orjson

from .first_rows import Rows, at, dumped
from .plan import LISTS, Inside, Plan

# Columns beside `tokens` that tell where the prompt ends in them.
PROMPT_IDS = ("prompt_ids", "prompt_token_ids", "prompt_tokens")
_MORE_IDS = ("input_ids", "prompt_input_ids", "input_token_ids", "query_ids")  # of the prompt, in some logs
STARTS = ("prompt_length", "prompt_len", "num_prompt_tokens", "prompt_tokens")
LENGTHS = ("response_length", "response_len", "completion_length", "completion_len")
_ASKED = ("prompt", "of_prompt")
_HABIT = 0.9
_FEW = 4  # lists that say nothing about the rest of a log
_PADDED, _WITHIN = 0.2, 0.02  # shares of lists: with two pads or more at least, with a pad among other ids at most
# How chat templates open the answer.
_OPENS = re.compile(
    r"<\|im_start\|>assistant\n?|<\|start_header_id\|>assistant<\|end_header_id\|>\n*|<\|assistant\|>\n?|\[/INST\] ?"
    r"|<start_of_turn>model\n?|<\uff5cAssistant\uff5c>|\n#+ Response:?\n?|(^|\n)(assistant|Assistant:)\s?"
)
_CHANCE, _LETTERS = 8, 3  # characters: one prompt, or several, that are shorter may be how answers begin

Draw = Mapping[str, Any]  # one completion of the first rows


def inside_of(rows: Rows, plan: Plan) -> Inside:
    """What is to be cut off the completions.

    Args:
        rows: The first rows.
        plan: Paths, `grouped` and `labels` are used.

    Returns:
        What it is; nothing where the mask holds labels, which tell by themselves where a completion begins.
    """
    if plan.unit == "completion":
        draws = list(_draws(rows, plan, {})) if "prompt" in plan.paths else []
        return Inside(True, _template(draws)) if _begin_with_prompt(draws) else Inside()
    if plan.labels:
        return Inside()
    names = {key for row in rows for key in row} - set(plan.paths.values()) | {plan.paths.get("prompt")}
    for path in (name for name in (*PROMPT_IDS, *_MORE_IDS) if name in names):
        draws = [d for d in _draws(rows, plan, {"of_prompt": path}) if _ids(d["tokens"]) and _ids(d["of_prompt"])]
        if _habit([_begins(d["tokens"], d["of_prompt"]) for d in draws]):
            rest = [d["tokens"][len(d["of_prompt"]) :] for d in draws if _begins(d["tokens"], d["of_prompt"])]
            return _with_padding(Inside(prompt_ids=path), rest, plan)
    for path in (name for name in STARTS if name in names):
        key = plan.paths.get("prompt") or plan.paths.get("group") or ""
        draws = list(_draws(rows, plan, {"start": path, "of_prompt": key}))
        draws = [d for d in draws if _ids(d["tokens"]) and type(d["start"]) is int]
        if _fronts_are_prompts([d for d in draws if 0 < d["start"] < len(d["tokens"])], len(draws)):
            return _with_padding(Inside(start=path), [d["tokens"][d["start"] :] for d in draws], plan)
    for path in (name for name in LENGTHS if name in names):
        draws = [d for d in _draws(rows, plan, {"length": path}) if _ids(d["tokens"]) and type(d["length"]) is int]
        longer = [d for d in draws if 0 <= d["length"] < len(d["tokens"])]
        if _all_padded(longer):
            return Inside(length=path, behind=True)
        if longer and len(longer) >= _HABIT * len(draws) and _prompts_before(longer):
            return Inside(length=path)
    return _with_padding(Inside(), [d["tokens"] for d in _draws(rows, plan, {}) if _ids(d["tokens"])], plan)


def wrapped(rows: Rows, plan: Plan) -> str | None:
    """A reason if texts hold their prompt with a template around it: where the answer begins is then not known."""
    if plan.unit != "completion" or "prompt" not in plan.paths:
        return None
    pairs = [(d["completion"], _question(d["prompt"])) for d in _draws(rows, plan, {})]
    pairs = [(text, asked) for text, asked in pairs if isinstance(text, str) and len(asked) >= _CHANCE]
    before = [text[: text.find(asked)] for text, asked in pairs if text.find(asked) > 0]
    # Who repeats a question repeats it in many ways; a template puts the same words before all of them.
    if len({asked for _, asked in pairs}) < 2 or len(before) < _HABIT * len(pairs) or len(set(before)) > 1:
        return None
    return f"the text holds the prompt too, behind {before[0][-40:]!r}: write the answer alone"


def _question(prompt: Any) -> str:
    """The text of a prompt, of a chat that of its last message."""
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        prompt = prompt[-1].get("content")
    return prompt if isinstance(prompt, str) else ""


def _draws(rows: Rows, plan: Plan, more: Mapping[str, str]) -> Iterator[Draw]:
    """The completions of the first rows, those of a row that holds a group one by one."""
    wanted = {c: plan.paths[c] for c in ("prompt", "completion", *LISTS) if c in plan.paths} | dict(more)
    for row in rows:
        draw = {name: _parsed(at(row, path), plan) for name, path in wanted.items()}
        if not plan.grouped:
            yield draw
        elif isinstance(unit := draw[plan.unit], list):
            k = len(unit)
            lists = {name: v if _one_each(name, v, k) else [v] * k for name, v in draw.items()}
            yield from ({name: values[member] for name, values in lists.items()} for member in range(k))


def _one_each(name: str, value: Any, k: int) -> bool:
    """Is it a list with one value per member; not a prompt of k ids or messages, which is that of all?"""
    if not isinstance(value, list) or len(value) != k:
        return False
    return name not in _ASKED or not value or not isinstance(value[0], dict | int)


def _parsed(value: Any, plan: Plan) -> Any:
    """The list or number that a cell of a CSV spells."""
    if plan.from_text and isinstance(value, str) and (value[:1] == "[" or value.isdigit()):
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value


def _ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and set(map(type, value)) == {int}


def _begins(ids: Sequence[int], prompt: Sequence[int]) -> bool:
    return len(prompt) < len(ids) and ids[: len(prompt)] == prompt


def _habit(held: Sequence[bool]) -> bool:
    return bool(held) and sum(held) >= _HABIT * len(held)


def _begin_with_prompt(draws: Sequence[Draw]) -> bool:
    """Do the texts begin with the prompts of their rows, but for the space around these, and go on?"""
    pairs = _texts_and_prompts(draws)
    lengths = [len(prompt) for prompt in {prompt for _, prompt in pairs}]
    # Completions to several prompts do not each begin with their own by chance, unless those are letters or so.
    by_chance = max(lengths, default=0) < _CHANCE and (len(lengths) < 2 or min(lengths) < _LETTERS)
    return not by_chance and _habit([text != prompt and text.startswith(prompt) for text, prompt in pairs])


def _texts_and_prompts(draws: Sequence[Draw]) -> list[tuple[str, str]]:
    pairs = [(d["completion"], d["prompt"]) for d in draws if isinstance(d["completion"], str) and d["completion"]]
    return [(text, prompt.strip()) for text, prompt in pairs if isinstance(prompt, str) and prompt.strip()]


def _template(draws: Sequence[Draw]) -> str:
    """The words of a template behind the prompts that texts begin with, empty where there are none."""
    rests = [text[len(prompt) :] for text, prompt in _texts_and_prompts(draws) if text.startswith(prompt)]
    opens = _OPENS.search(rests[0][:200])
    template = rests[0][: opens.end()] if opens else ""
    return template if _habit([rest.startswith(template) for rest in rests]) else ""


def _fronts_are_prompts(draws: Sequence[Draw], of: int) -> bool:
    """Are the ids where the prompt should stand the same for one prompt, and others for another?"""
    fronts = {dumped(d["of_prompt"]): d["tokens"][: d["start"]] for d in draws}
    alike = [fronts[dumped(d["of_prompt"])] == d["tokens"][: d["start"]] for d in draws]
    ordered = sorted({tuple(front) for front in fronts.values()})
    # One that goes on as another begins is none: completions begin alike as well.
    several = len(ordered) - sum(longer[: len(one)] == one for one, longer in pairwise(ordered))
    return several > 1 and several >= _HABIT * len(fronts) and sum(alike) >= _HABIT * of and 2 * len(fronts) <= of


def _all_padded(longer: Sequence[Draw]) -> bool:
    """Is all that follows the first `length` ids of each list one and the same id?"""
    rests = [set(d["tokens"][d["length"] :]) for d in longer]
    return len(rests) > 1 and len(set.union(*rests)) == 1


def _prompts_before(longer: Sequence[Draw]) -> bool:
    """Are the ids before the last `length` ones prompts? Then several rows share them, or other lists leave them out.

    A length that counts words, say, is shorter than the ids as well, and what it cuts off differs from row to row.
    """
    beside = [len(v) == d["length"] for d in longer for c in LISTS[1:] if isinstance(v := d.get(c), list)]
    fronts = {tuple(d["tokens"][: len(d["tokens"]) - d["length"]]) for d in longer}
    return _habit(beside) or 2 * len(fronts) <= len(longer) + 1


def _with_padding(inside: Inside, lists: Sequence[Sequence[int]], plan: Plan) -> Inside:
    """Note the id with which lists are filled up to the length of their batch, where no mask tells.

    It stands nowhere but at the end. A pad that is no end token follows one: the id before it is the same in all lists
    that are filled, and the longest lists, which have no pad, end in it as well. Where ids of all kinds stand before
    the pad, it is the end token itself, and one of it was sampled.
    """
    if "mask" in plan.paths or len(lists) < _FEW or not _in_blocks(list(map(len, lists))):
        return inside
    doubled = Counter(ids[-1] for ids in lists if len(ids) > 1 and ids[-1] == ids[-2])
    pad = max(doubled, key=lambda id_: doubled[id_], default=-1)
    runs = [_run(ids, pad) for ids in lists]
    within = sum(pad in ids[: len(ids) - run] for ids, run in zip(lists, runs, strict=True))
    if doubled[pad] < max(2, _PADDED * len(lists)) or within > _WITHIN * len(lists):
        front = None if inside.front else _pad_in_front(lists)
        return inside if front is None else inside._replace(pad=front, left=True)
    before = Counter(ids[-run - 1] for ids, run in zip(lists, runs, strict=True) if 1 < run < len(ids))
    end = max(before, key=lambda id_: before[id_], default=None)
    after_end = end is not None and before[end] >= _HABIT * before.total() and _ends_too(lists, runs, end)
    return inside._replace(pad=pad, ends=not after_end)


def _pad_in_front(lists: Sequence[Sequence[int]]) -> int | None:
    """The id with which lists are filled in front, if there is one; it may be the end token as well, and end them."""
    doubled = Counter(ids[0] for ids in lists if len(ids) > 1 and ids[0] == ids[1])
    pad = max(doubled, key=lambda id_: doubled[id_], default=-1)
    runs = [_run(ids[::-1], pad) for ids in lists]
    within = sum(pad in ids[run:-1] for ids, run in zip(lists, runs, strict=True))
    # Texts may begin with the same id twice; they do not with any number of them.
    filled = doubled[pad] >= max(2, _PADDED * len(lists)) and len(set(runs)) > 2 and min(map(len, lists)) >= _CHANCE
    return pad if filled and within <= _WITHIN * len(lists) else None


def _in_blocks(lengths: Sequence[int]) -> bool:
    """Are lists of one length neighbours, as batches of padded lists are?"""
    return 2 * sum(1 for _ in groupby(lengths)) <= len(lengths)


def _run(ids: Sequence[int], pad: int) -> int:
    """How often an id stands at the end of a list."""
    return next((n for n, other in enumerate(reversed(ids)) if other != pad), len(ids))


def _ends_too(lists: Sequence[Sequence[int]], runs: Sequence[int], end: int) -> bool:
    """Does a list without a pad end in the id that stands before the pads? If all have pads: is none of them short?"""
    full = [ids[-1] for ids, run in zip(lists, runs, strict=True) if not run]
    return end in full if full else min(runs) > 1
