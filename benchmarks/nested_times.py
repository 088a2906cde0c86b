"""How fast nested traces are read, beside orjson and the same arrays made of its lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import orjson
from tables import at_least, table

from grpo_prm.core.identity import SENTINEL
from grpo_prm.logs.formats.traces import FORMAT
from grpo_prm.logs.rows.values import flags_of, floats_of, ids_of
from grpo_prm.logs.sources import Source

TARGET = 3.0  # times as fast as orjson with the whole log
TURNS = 4
NOTE = (
    "Invented episodes as verifiers 0.4 writes them: a prompt, four turns with tool answers between, some 4,000 tokens."
    " Each way gives ids, mask and log-probabilities of every rollout as arrays, its advantage and its reward, in one"
    " thread. Objects that stay make Python's memory the bottleneck, so orjson is timed both ways."
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
    return {
        "id": f"e{number}",
        "task": task,
        "group": {"id": f"g{number // 8}"},
        "run": run,
        "ok": True,
        "traces": [trace],
    }


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


def by_line(path: Path) -> Iterator[tuple[Any, ...]]:
    """Line after line by orjson, each forgotten before the next."""
    with path.open("rb") as file:
        for line in file:
            yield from _arrays(orjson.loads(line))


def whole(path: Path) -> Iterator[tuple[Any, ...]]:
    """All lines by orjson, then the arrays, as a script reads a log."""
    with path.open("rb") as file:
        records = [orjson.loads(line) for line in file]
    for record in records:
        yield from _arrays(record)


def _arrays(record: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The lists of an episode as arrays, with the checks of a flat log: numpy takes 1.5 for the id 1."""
    for trace in record["traces"]:
        lists: dict[str, list[Any]] = {name: [] for name in ("token_ids", "mask", "logprobs", "advantages")}
        for node in trace["nodes"]:
            for name, values in lists.items():
                values += node.get(name, ())
        ids, mask = ids_of(lists["token_ids"]), flags_of(lists["mask"])
        logprobs, opens, given = np.full(len(mask), SENTINEL, np.float32), int(mask.argmax()), lists["advantages"]
        logprobs[mask] = floats_of(lists["logprobs"], "logprobs")
        advantage = given[0] if given.count(given[0]) == len(given) else None
        reward = sum(part["score"] * part["weight"] for part in trace["rewards"].values())
        yield ids[opens:], mask[opens:], logprobs[opens:], advantage, reward


def ours(path: Path) -> Iterator[tuple[Any, ...]]:
    """Every line by the format of traces, and the same checks."""
    assert FORMAT.flatten
    assert FORMAT.record
    decode, source = msgspec.json.Decoder(FORMAT.record).decode, Source(path, path.name, "run", 0)
    with path.open("rb") as file:
        for line in file:
            for row in FORMAT.flatten(decode(line), source):
                assert isinstance(row, dict)
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
    ways = {"orjson, the whole log": whole, "orjson, line by line": by_line, "grpo-prm": ours}
    times: dict[str, list[float]] = {name: [] for name in ways}
    sums = set()
    for _ in range(rounds):
        for name, way in ways.items():
            seconds, total = timed(way, path)
            times[name].append(seconds)
            sums.add(round(total, 3))
    path.unlink()
    assert len(sums) == 1, sums
    fastest = min(times["grpo-prm"])
    cells = [
        [name, f"{np.median(t):.2f}", f"{min(t):.2f}", f"{size / min(t):.0f}", f"{min(t) / fastest:.1f}"]
        for name, t in times.items()
    ]
    ratio = min(times["orjson, the whole log"]) / fastest
    cells[0].append(at_least(ratio, TARGET))
    cells[1:] = [[*cell, ""] for cell in cells[1:]]
    head = ["reader", "median, s", "least, s", "MB/s", "least / ours", f"target {TARGET:g}"]
    return table(f"Nested traces of {size:.0f} MB", NOTE, head, cells)
