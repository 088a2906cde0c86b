"""What is told while a page, figures and a comparison are made: each amount once, growing, up to all of it."""

from contextlib import contextmanager

import pytest

import grpo_prm
from grpo_prm.analysis.folder import read_folder
from grpo_prm.compare.comparison import compare
from grpo_prm.figures.plotting import draw
from grpo_prm.report.packing import HEAD, Block
from grpo_prm.report.page import one_page
from grpo_prm.report.waiting import counted


def block(groups, text="x" * 100):
    return Block(text, [{"group": n, "kinds": []} for n in range(groups)], 0)


def told_of(packed, groups, **room):
    told = []
    assert list(counted(packed, groups, lambda *amounts: told.append(amounts), **room)) == packed
    return told


def test_groups_are_counted_up_to_the_last():
    assert told_of([block(3), block(2), block(1)], 6) == [(3, 6), (5, 6), (6, 6)]


def test_where_room_ends_first_the_amount_is_what_will_have_room():
    one = 100 + 2 * HEAD  # bytes of two groups
    assert told_of([block(2), block(2)], 50, room=3 * one) == [(2, 6), (4, 6)]
    assert told_of([block(2), block(2)], 5, room=3 * one) == [(2, 5), (4, 5)]
    assert told_of([block(2)], 5, room=one / 2) == [(2, 2)]  # one block at least


def test_a_page_tells_of_its_figures_and_then_of_its_groups(chain, monkeypatch):
    monkeypatch.setattr("grpo_prm.report.pictures._svg", lambda _: b"<svg/>")  # which takes most of the time
    told = {}

    @contextmanager
    def show(what):
        told[what] = []
        yield lambda *amounts: told[what].append(amounts)

    page = one_page(read_folder(chain.parent), show=show)
    assert list(told) == ["drawing figures", "writing groups"]
    (figures, *_), groups = [total for _, total in told["drawing figures"]], told["writing groups"]
    assert told["drawing figures"] == [(n, figures) for n in range(1, figures + 1)] and figures > 5
    assert groups == sorted(groups) and groups[-1] == (page.shown, page.kept) == (160, 160)


@pytest.fixture(scope="module")
def small():
    rows = [{"uid": g, "completion_ids": [1, s % 2, s], "reward": float(s % 2)} for g in range(2) for s in range(4)]
    return grpo_prm.analyze(rows)


def test_figures_are_told_one_by_one(small, tmp_path):
    told, select = [], ["group_tree", "informativeness"]
    draw([small], tmp_path, formats=["png"], select=select, told=lambda *amounts: told.append(amounts))
    assert told == [(1, 2), (2, 2)]


def test_a_comparison_tells_of_what_it_reads_and_of_its_runs(small, tmp_path):
    folders = [tmp_path / f"{name}.prm" for name in "ab"]
    for folder in folders:
        small.save(folder, figures=False)
    told = []
    compare(folders, told=lambda *amounts: told.append(amounts))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
