"""One item ahead, or some side by side, and no more; errors where their item would have come; nobody waits in vain."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.logs.prefetch import parallel, prefetch


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def wait_for(condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.001)


@given(st.lists(st.one_of(st.none(), st.just(0), st.just([]), st.text(max_size=2)), max_size=5))
def test_all_items_come_in_order_whatever_they_are(items):
    assert list(prefetch(items)) == items


def test_an_array_is_an_item_like_any_other():
    items = list(prefetch([np.zeros(2), np.zeros(0)]))
    assert [len(item) for item in items] == [2, 0]


def test_one_item_is_made_while_the_last_is_worked_on_and_no_more():
    made = []

    def source():
        for n in range(5):
            made.append((n, threading.current_thread() is threading.main_thread()))
            yield n

    for n in prefetch(source()):
        wait_for(lambda: len(made) >= min(n + 2, 5))  # noqa: B023 - called at once
        time.sleep(0.01)
        assert len(made) == min(n + 2, 5)
    assert made == [(n, False) for n in range(5)]


def test_nothing_is_made_before_it_is_asked_for():
    def source():
        made.append(1)
        yield 1

    made: list[int] = []
    items = prefetch(source())
    time.sleep(0.01)
    assert not made
    assert list(items) == [1] == made


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
def test_an_error_is_raised_where_its_item_would_have_come(error):
    def source():
        yield 1
        yield 2
        raise error("line 3")

    items = prefetch(source())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(error, match="line 3"):
        next(items)
    assert not list(items)  # that was the end


@pytest.mark.parametrize("how", ["close", "error"])
def test_who_stops_early_does_not_wait_for_the_item_on_its_way(how):
    made, gate = [], threading.Event()

    def source():
        for n in count():
            made.append(n)
            yield n
            assert gate.wait(5)

    items = prefetch(source())
    assert next(items) == 0
    begin = time.monotonic()
    if how == "close":
        items.close()
    else:
        with pytest.raises(RuntimeError, match="stop"):
            items.throw(RuntimeError("stop"))
    assert time.monotonic() - begin < 1
    gate.set()
    wait_for(lambda: not workers())
    assert made == [0, 1]  # what was on its way, and no more


def test_nothing_holds_the_process_when_it_ends():
    """A source that never gives its next item, as a pipe that nobody writes to, and an error in the main thread."""
    code = """
import threading
from grpo_prm.logs.prefetch import prefetch, parallel
def source():
    yield 1
    threading.Event().wait()
for item in prefetch(source()):
    raise KeyError("the end")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and "the end" in done.stderr


def test_work_side_by_side_comes_back_in_order():
    """The first of two pieces of work ends only when the second is done."""
    second = threading.Event()

    def work(n):
        assert threading.current_thread() is not threading.main_thread()
        if n == 0:
            assert second.wait(5)
        elif n == 1:
            second.set()
        return n * n

    assert list(parallel(work, range(7))) == [n * n for n in range(7)]
    wait_for(lambda: not workers())


def test_only_so_much_is_begun():
    begun = []
    results = parallel(begun.append, iter(range(9)), 3)
    next(results)
    wait_for(lambda: len(begun) == 3)
    time.sleep(0.01)
    assert len(begun) == 3
    results.close()
    wait_for(lambda: not workers())


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_an_error_of_the_work_comes_in_its_place(threads):
    def work(n):
        return 6 // (3 - n)

    results = parallel(work, range(5), threads)
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    wait_for(lambda: not workers())


def test_a_worker_reads_and_works_in_its_one_thread(monkeypatch):
    from threading import current_thread

    from grpo_prm.logs import prefetch as module

    def threads():
        made = module.prefetch(current_thread() for _ in range(3))
        worked = module.parallel(lambda _: current_thread(), range(3))
        return {*made, *worked}

    assert current_thread() not in threads()
    monkeypatch.setattr(module, "ONE_THREAD", True)
    assert threads() == {current_thread()}
