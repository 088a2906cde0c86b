"""What the first rows bear out: which column is sampled text, which a reward, which a key, by how values repeat.

Samples of one prompt differ, and what belongs to the prompt (its text, its gold answer, its level) does not. A key has
about as many rows for each of its values. Names only rule out, or settle what the values leave open.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from .first_rows import Rows, at, kind_of, names_of
from .name_words import (
    KEYS,
    NO_KEYS,
    OF_JUDGES,
    OF_ROWS,
    SAID,
    VERDICT,
    may_be_text_of_a_model,
    reward_rank,
    words_of_name,
)
from .plan import NAMES
from .recurring import CLOSE, differ_within, dumped, even, repeats

_NUMBERS = ("bool", "float", "int", "bools", "floats", "ints")
_LISTS = ("ints", "lists", "objects", "object", "mixed")
_MAY_BE_KEYS = ("group", "prompt", "problem", "task")  # columns whose names may be those of a group as well
_OTHERS = {name for column, names in NAMES.items() if column != "completion" for name in names}
_NOT_KEYS = {name for column, names in NAMES.items() if column not in _MAY_BE_KEYS for name in names}
_CODE = re.compile(
    r"[0-9a-f-]{8,}|v?\d+([.:_/-]\d+)+|(\w+:/)?[\w.~-]*/\S*|\d{4}-\d\d-\d\d.*|\S+@\S+|\S+\.\w{2,5}", re.IGNORECASE
)


def completion_by_content(rows: Rows, from_text: bool) -> str | None:
    """The one column whose texts differ where the prompt is the same; None where there is none, or several."""
    paths = [path for path in names_of(rows) if path not in _OTHERS and may_be_text_of_a_model(path)]
    texts = {path: kind for path in paths if (kind := _kind_of_texts(rows, path, from_text))}
    keys = _trusted_keys(rows, from_text)
    single = [path for path, kind in texts.items() if kind in ("text", "chat") and _sampled(rows, path, kind, keys)]
    lists = [
        path for path, kind in texts.items() if kind in ("texts", "lists") and _sampled_lists(rows, path, from_text)
    ]
    found = _without_copies(rows, single or lists, keys)
    telling = [path for path in found if words_of_name(path) & SAID]
    found = found if len(found) == 1 else telling
    return found[0] if len(found) == 1 and (telling or _is_prose(rows, found[0])) else None


def may_hold_completions(rows: Rows, from_text: bool) -> bool:
    """Is there a column that is not known as something else, of texts or lists that differ from row to row?"""
    if len(rows) == 1:
        return True
    unknown = [path for path in names_of(rows) if path not in _OTHERS and len(set(dumped(rows, path))) > 1]
    return any(kind_of(rows, path, from_text) in _LISTS or _kind_of_texts(rows, path, from_text) for path in unknown)


def reward_by_content(rows: Rows, from_text: bool, completion: str) -> str | None:
    """The one column of numbers called like a reward that differs within a group, one for each completion of a row."""
    wanted = [_count(at(row, completion)) for row in rows]
    ranked: dict[int, list[str]] = defaultdict(list)
    keys = _trusted_keys(rows, from_text)
    for path in names_of(rows):
        rank = reward_rank(path)
        if rank is None or path == completion or path in _OTHERS or not _numbers_or_verdicts(rows, path, from_text):
            continue
        counts = [_count(at(row, path)) for row in rows]
        fits = counts == wanted or not any(count is not None for count in (*counts, *wanted))
        if fits and _differs(rows, path, keys):
            ranked[rank].append(path)
    best = ranked[min(ranked)] if ranked else []
    return best[0] if len(best) == 1 else None


def group_by_content(rows: Rows, from_text: bool, taken: Collection[str | None]) -> str | None:
    """The finest column that is called like a key, or asks, and has as many rows for each value; None if unsure."""
    columns = [path for path in names_of(rows) if path not in taken and path not in _NOT_KEYS]
    columns = [path for path in columns if reward_rank(path) is None and not words_of_name(path) & NO_KEYS]
    repeated = {path: values for path in columns if even(values := dumped(rows, path))}
    found = {path: values for path, values in repeated.items() if _called_like_a_key(rows, path, from_text)}
    best = max(found, key=lambda path: len(set(found[path])), default=None)
    if best is None or (len(set(found[best])) < 3 and not words_of_name(best) & KEYS):
        return None
    pairs = {
        path: (len(set(values)), len(set(zip(found[best], values, strict=True)))) for path, values in repeated.items()
    }
    one = len(set(found[best]))
    # Each value of the finest has one value of every other: columns that cross are a key and a number of the sample.
    crossing = any(both > one for path, (_, both) in pairs.items() if path in found)
    finer = any(both == other > one for other, both in pairs.values())
    return None if crossing or finer else best


def sampled_first(rows: Rows, names: Sequence[str]) -> list[str]:
    """Names of completions in their order; behind are parts of others, and last one text a prompt: a gold answer."""
    gold = {name for name in names if of_prompts(rows, name)} if len(names) > 1 else set()
    texts = [name for name in names if name not in gold and kind_of(rows, name, False) == "text"]
    parts = {part for part in texts for whole in texts if part != whole and _is_cut_out(rows, part, whole)}
    return sorted(names, key=lambda name: (name in gold, name in parts))


def _is_cut_out(rows: Rows, part: str, whole: str) -> bool:
    """Is a column an answer taken out of the text of another? What stands before it then differs from row to row."""
    pairs = [(_plain(at(row, part)), _plain(at(row, whole))) for row in rows]
    fronts = [w[: w.find(p)] if p in w else "" for p, w in pairs]
    if sum(bool(front) for front in fronts) < CLOSE * len(pairs):
        return False
    keys = _trusted_names(rows)
    return bool(keys) and all(differ_within(dumped(rows, key), fronts) for key in keys)


def of_prompts(rows: Rows, path: str) -> bool:
    """Does a column have one value for each prompt, where prompts or keys come again?"""
    keys = _trusted_names(rows)
    return bool(keys) and not any(differ_within(dumped(rows, key), dumped(rows, path), 0.0) for key in keys)


def _kind_of_texts(rows: Rows, path: str, from_text: bool) -> str | None:
    """Kind of a column of texts, None of another: its values are no ids, versions, dates or paths."""
    kind = kind_of(rows, path, from_text)
    texts = [text for row in rows for text in _texts_in(at(row, path))]
    coded = sum(bool(_CODE.fullmatch(text)) for text in texts)
    return kind if kind in ("text", "chat", "texts", "lists") and texts and coded < 0.5 * len(texts) else None


def _sampled(rows: Rows, path: str, kind: str, keys: Sequence[str]) -> bool:
    """Do the values of a column differ between rows of one prompt, and come from a model rather than the prompt?"""
    chats = kind == "chat"
    if chats and sum(_answered(at(row, path)) for row in rows) < CLOSE * len(rows):
        return False
    if len(rows) == 1:
        return chats  # one row shows no difference; that the assistant speaks is all that it can show
    values = dumped(rows, path)
    if not keys or even(values) or not all(differ_within(dumped(rows, key), values) for key in keys):
        return False
    return not any(_contained(rows, path, key) for key in keys)


def _sampled_lists(rows: Rows, path: str, from_text: bool) -> bool:
    """Are lists those of a group: with differing texts, and beside numbers of which each text has one?"""
    lists = [value for row in rows if isinstance(value := at(row, path), list)]
    several = [value for value in lists if len(value) > 1]
    differing = sum(len({json.dumps(v, default=str) for v in value}) > 1 for value in several)
    counts = [_count(at(row, path)) for row in rows]
    beside = (
        other
        for other in names_of(rows)
        if kind_of(rows, other, from_text) in _NUMBERS and not words_of_name(other) & {"id"}
    )
    paired = any([_count(at(row, other)) for row in rows] == counts for other in beside)
    prompts = [name for name in NAMES["prompt"] if any(name in row for row in rows)]
    inside = any(_contained(rows, path, prompt) for prompt in prompts)
    return bool(several) and 2 * differing >= len(several) and paired and not inside


def _trusted_keys(rows: Rows, from_text: bool) -> list[str]:
    """Columns by which rows of one prompt are known: by their names, or by how their values repeat."""
    keys = _trusted_names(rows)
    others = (path for path in names_of(rows) if path not in _NOT_KEYS and _called_like_a_key(rows, path, from_text))
    return [*keys, *(path for path in others if path not in keys and even(dumped(rows, path)))]


def _trusted_names(rows: Rows) -> list[str]:
    """Columns that are called like a prompt or a key, and whose values repeat."""
    named = dict.fromkeys(name for column in ("group", "prompt", "problem") for name in NAMES[column])
    return [name for name in named if any(name in row for row in rows) and repeats(dumped(rows, name))]


def _called_like_a_key(rows: Rows, path: str, from_text: bool) -> bool:
    """Names or numbers under the name of a key, or texts that are as long as questions."""
    if kind_of(rows, path, from_text) not in ("int", "text") or words_of_name(path) & NO_KEYS:
        return False
    return bool(words_of_name(path) & KEYS) or (
        _is_prose(rows, path) and not words_of_name(path) & (OF_ROWS | SAID | OF_JUDGES)
    )


def _without_copies(rows: Rows, paths: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Columns but those that are part of another: an answer taken out of the text, or a text after its prompt."""
    dropped: set[str] = set()
    for part in paths:
        for whole in paths:
            pairs = [(_plain(at(row, part)), _plain(at(row, whole))) for row in rows]
            if part == whole or sum(p in w and len(p) < len(w) for p, w in pairs) < CLOSE * len(pairs):
                continue
            heads = [w.removesuffix(p) if w.endswith(p) else None for p, w in pairs]
            same = keys and None not in heads and not differ_within(dumped(rows, keys[0]), [str(h) for h in heads])
            dropped.add(whole if same else part)
    return [path for path in paths if path not in dropped]


def _contained(rows: Rows, path: str, key: str) -> bool:
    """Do most of the longer values stand in the prompt?"""
    pairs = [(text, _plain(at(row, key))) for row in rows for text in _texts_in(at(row, path)) if len(text) > 7]
    return bool(pairs) and 2 * sum(text in prompt for text, prompt in pairs) > len(pairs)


def _differs(rows: Rows, path: str, keys: Sequence[str]) -> bool:
    """Do the values differ, in some group where groups are known? A single row cannot show it."""
    values = dumped(rows, path)
    if len(rows) == 1:
        return True
    if any(isinstance(at(row, path), list) for row in rows):
        return any(isinstance(v := at(row, path), list) and len({str(x) for x in v}) > 1 for row in rows)
    others = (key for key in keys if key != path)
    return len(set(values)) > 1 and all(differ_within(dumped(rows, key), values, 0.0) for key in others)


def _numbers_or_verdicts(rows: Rows, path: str, from_text: bool) -> bool:
    kind = kind_of(rows, path, from_text)
    if kind in _NUMBERS:
        return True
    texts = [text for row in rows for text in _texts_in(at(row, path))]
    return kind in ("text", "texts") and bool(texts) and all(text.strip().lower() in VERDICT for text in texts)


def _count(value: Any) -> int | None:
    """Length of a list of anything but messages, None for another value."""
    return len(value) if isinstance(value, list) and not (value and isinstance(value[0], dict)) else None


def _is_prose(rows: Rows, path: str) -> bool:
    """Are values mostly words, twenty characters and more?"""
    texts = [text for row in rows for text in _texts_in(at(row, path))]
    return bool(texts) and 2 * sum(len(text) >= 20 and " " in text.strip() for text in texts) > len(texts)


def _texts_in(value: Any) -> Iterator[str]:
    """Texts of a value: itself, those of a list, and the contents of messages."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict) and "role" in value:
        yield from _texts_in(value.get("content"))


def _plain(value: Any) -> str:
    return "\n".join(_texts_in(value))


def _answered(value: Any) -> bool:
    """Does the assistant speak in a chat, or in the JSON text of one?"""
    roles = re.findall(r"\"role\": ?\"(\w+)\"", value) if isinstance(value, str) else ()
    messages = value if isinstance(value, list) else [value]
    return "assistant" in roles or any(isinstance(m, dict) and m.get("role") == "assistant" for m in messages)
