"""How fast nested traces are read, beside orjson and the same arrays made of its lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from tables import at_least, table

from grpo_prm.core.identity import SENTINEL
from grpo_prm.logs.formats.episodes import FORMAT
from grpo_prm.logs.rows.typed import parser_of
from grpo_prm.logs.rows.values import flags_of, floats_of, ids_of
from grpo_prm.logs.sources import Source

TARGET = 3.0  # times as fast as orjson
TURNS = 4
NOTE = (
    "Invented episodes as verifiers 0.4 writes them: a prompt, four turns with tool answers between, some 4,000 tokens."
    " Both ways give ids, mask and log-probabilities of every rollout as arrays, its advantage and its reward; one"
    " thread."
)


def episode(random: np.random.Generator, number: int) -> dict[str, Any]:
    """One episode of one trace."""
    advantage = round(float(random.normal()), 4)
    nodes: list[dict[str, Any]] = [_node(random, None, "user", 300, 0, advantage)]
    for turn in range(TURNS):
        nodes.append(_node(random, len(nodes) - 1, "assistant", 3, int(random.integers(300, 1200)), advantage))
        if turn + 1 < TURNS:
            nodes.append(_node(random, len(nodes) - 1, "tool", int(random.integers(50, 300)), 0, advantage))
    task = {"type": "Task", "data": {"idx": number // 8}, "key": f"t{number // 8}"}
    reward = {"correct": {"score": float(random.integers(2)), "weight": 1.0}}
    trace = {"id": f"t{number}", "task": task, "nodes": nodes, "calls": [], "rewards": reward, "ok": True, "errors": []}
    work = {"type": "train", "step": number // 256}
    run = {"type": "train", "id": "run", "work": work}
    return {"id": f"e{number}", "task": task, "group": {"id": f"g{number // 8}"}, "run": run, "ok": True, "traces": [trace]}


def _node(random: np.random.Generator, parent: int | None, role: str, given: int, said: int, advantage: float) -> dict:
    ids = random.integers(0, 151_000, given + said).tolist()
    node = {"message": {"role": role, "content": "word " * ((given + said) * 3 // 4)}, "sampled": said > 0}
    node |= {"timestamp": 1.8e9, "token_ids": ids, "mask": [False] * given + [True] * said}
    node |= {"is_content": [False] * given + [True] * said, "semantic_parents": []}
    node["logprobs"] = np.round(-random.exponential(0.4, said), 4).tolist()
    if said:
        node["advantages"] = [advantage] * said
    return node if parent is None else {"parent": parent, **node}


def write(file: BinaryIO, megabytes: float) -> None:
    """Episodes until the file has so many bytes."""
    random, number = np.random.default_rng(0), 0
    while file.tell() < megabytes * 1e6:
        file.write(orjson.dumps(episode(random, number)) + b"\n")
        number += 1


def plain(path: Path, checked: bool = True) -> Iterator[tuple[Any, ...]]:
    """Every line by orjson, and its lists to arrays; numpy takes 1.5 for the id 1 and true for 1.0 unless `checked`."""
    with path.open("rb") as file:
        for line in file:
            for trace in orjson.loads(line)["traces"]:
                lists: dict[str, list[Any]] = {name: [] for name in ("token_ids", "mask", "logprobs", "advantages")}
                for node in trace["nodes"]:
                    for name, values in lists.items():
                        values += node.get(name, ())
                of_type = (ids_of, flags_of, lambda values: floats_of(values, "logprobs"))
                makers = of_type if checked else (np.int32, np.bool_, np.float32)
                arrays = zip(makers, lists.values(), strict=False)
                ids, mask, logprobs = (make(values) if checked else np.array(values, make) for make, values in arrays)
                spread, opens, given = np.full(len(mask), SENTINEL, np.float32), int(mask.argmax()), lists["advantages"]
                spread[mask] = logprobs
                advantage = given[0] if given.count(given[0]) == len(given) else None
                reward = sum(part["score"] * part["weight"] for part in trace["rewards"].values())
                yield ids[opens:], mask[opens:], spread[opens:], advantage, reward


def ours(path: Path) -> Iterator[tuple[Any, ...]]:
    """Every line by the format of traces, and the same checks."""
    assert FORMAT.flatten and FORMAT.record
    parsed, source = parser_of(FORMAT.record), Source(path, path.name, "run", 0)
    with path.open("rb") as file:
        for line in file:
            for row in FORMAT.flatten(parsed(line), source):
                logprobs = floats_of(row["logprobs"], "logprobs")
                yield ids_of(row["tokens"]), flags_of(row["mask"]), logprobs, row["advantage"], row["reward"]


def timed(way: Callable[[Path], Iterator[tuple[Any, ...]]], path: Path) -> tuple[float, float]:
    """Seconds that a way takes, and a sum over all that it read."""
    begin, total = time.perf_counter(), 0.0
    for ids, mask, logprobs, advantage, reward in way(path):
        total += float(ids.sum() + mask.sum() + logprobs.sum(dtype=np.float64) + (advantage or 0.0) + reward)
    return time.perf_counter() - begin, total


def nested_table(folder: Path, megabytes: float, rounds: int) -> str:
    """Write a log, and read it both ways in turn.

    Args:
        folder: Where the log is written; it is removed.
        megabytes: Its size.
        rounds: How often each way is timed.
    """
    path = folder / "traces.jsonl"
    with path.open("wb") as file:
        write(file, megabytes)
    size = path.stat().st_size / 1e6
    ways = {"orjson": plain, "orjson, nothing checked": partial(plain, checked=False), "grpo-prm": ours}
    times: dict[str, list[float]] = {name: [] for name in ways}
    sums = set()
    for _ in range(rounds):
        for name, way in ways.items():
            seconds, total = timed(way, path)
            times[name].append(seconds)
            sums.add(round(total, 3))
    path.unlink()
    assert len(sums) == 1, sums
    least = {name: min(seconds) for name, seconds in times.items()}
    ratio = least["orjson"] / least["grpo-prm"]
    cells = [
        [name, f"{np.median(times[name]):.2f}", f"{least[name]:.2f}", f"{size / least[name]:.0f}", judged]
        for name, judged in zip(ways, ("", "", f"{ratio:.1f}, {at_least(ratio, TARGET)}"), strict=True)
    ]
    head = ["reader", "median, s", "least, s", "MB/s", "times as fast"]
    return table(f"Nested traces of {size:.0f} MB", NOTE, head, cells)
