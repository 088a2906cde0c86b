"""What a format of text must hold, walked character by character over the rows of `spans`."""

from itertools import groupby

OPENS, ENDS = "<tool_response>", "</tool_response>"


def inside_tool(text):
    """Of each character whether it stands in tool output, marks included."""
    flags, at = [False] * len(text), 0
    while (begin := text.find(OPENS, at)) >= 0 and (end := text.find(ENDS, begin)) >= 0:
        at = end + len(ENDS)
        for n in range(begin, at):
            flags[n] = True
    return flags


def solutions_of(spans, whole, *, min_words=0, exclude_tool_output=False, exclude_missing_prompts=False):
    """(prompt, texts, labels) of every solution in the order of the file, and how many labels went.

    Args:
        spans: Rows of `--to spans` with the same labels, none of whose steps is without a text.
        whole: (group_key, sample) to the text of the completion.
    """
    made, seen, gone = [], set(), {"tools": 0, "words": 0}
    for (key, sample), steps in groupby(spans, key=lambda row: (row["group_key"], row["sample"])):
        flags, text, part, parts, labels, prompt = inside_tool(whole[key, sample]), "", "", [], [], ""
        for step in steps:
            prompt = step["prompt"] or ""
            words = [flags[len(text) + n] for n, letter in enumerate(step["text"]) if not letter.isspace()]
            text, part = text + step["text"], part + step["text"]
            if step["label"] is None:
                continue
            if words and all(words):
                gone["tools"] += 1
            elif len(part.split()) < min_words:
                gone["words"] += 1
            else:
                parts, labels, part = [*parts, part], [*labels, step["label"]], ""
        one = prompt, tuple(parts), tuple(labels)
        if not parts or (key, one) in seen:
            continue
        seen.add((key, one))
        if not (exclude_tool_output and OPENS in "".join(parts)) and not (exclude_missing_prompts and not prompt):
            made.append(one)
    return made, gone
