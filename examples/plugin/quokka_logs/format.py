"""A record to rows. A record of Quokka is a group: `{"ask": text, "tries": [{"said": text, "gain": number}, ...]}`."""

from collections.abc import Iterator
from typing import Any

from grpo_prm.logs import Bad, Format, Head, Row, Source


def detect(head: Head) -> bool:
    """Is a log one of ours? Asked with its first records."""
    return head.has("ask", "tries")


def flatten(record: Any, _source: Source) -> Iterator[Row]:
    """One row a completion, under the names of the canonical table (docs/logs.md)."""
    if not record["tries"]:
        raise Bad("tries", "a group without completions")
    for number, one in enumerate(record["tries"]):
        yield {
            "group": record["ask"],
            "prompt": record["ask"],
            "sample": number,
            "completion": one["said"],
            "reward": one["gain"],
        }


FORMAT = Format("quokka", detect, flatten)
