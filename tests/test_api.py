"""An analysis in Python: how it shows itself, its trees and figures, and the folder that it is kept in."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from canonical import batch_of
from matplotlib.figure import Figure
from oracle_sets import Row
from polars.testing import assert_frame_equal
from report.pages import data_of, without_figures

import grpo_prm
from grpo_prm.analysis.samples import EACH
from grpo_prm.analysis.tables import TABLES
from grpo_prm.errors import InputError, UsageError
from grpo_prm.text.cells import Rows
from grpo_prm.text.wording import sections

ROOT = Path(__file__).parents[1]
CHAIN = ROOT / "examples" / "chain.jsonl"
MANY = 4 * EACH  # groups, so that some are not kept


FEW = grpo_prm.Options(keep_text=0)


def rows_of(groups=MANY, step=None):
    """Groups of three of which two share their first token; rewards differ from group to group."""
    return [
        {"uid": f"p{n}", "completion_ids": [9, 1, 7 + sample][sample // 2 :], "reward": (n + 1) * float(sample == 1)}
        | ({} if step is None else {"step": step})
        for n in range(groups)
        for sample in range(3)
    ]


def not_kept(analysis):
    """The name of a group whose rollouts are not among the samples."""
    rest = analysis.groups.filter(~pl.col("group").is_in(analysis.samples["group"].unique().implode()))
    step, key = rest.row(len(rest) // 2, named=True)["step"], rest["group_key"][len(rest) // 2]
    return f"{'-' if step is None else step}:{key}"


@pytest.fixture(scope="module")
def chain():
    return grpo_prm.analyze(CHAIN)


@pytest.fixture(scope="module")
def saved(chain, tmp_path_factory):
    return chain.save(tmp_path_factory.mktemp("saved") / "chain.prm", figures=False)


def test_ten_lines_in_a_shell(chain):
    lines = repr(chain).splitlines()
    todo = [finding["code"] for finding in chain.summary["verdict"]["findings"]]
    assert todo == ["copies"] and len(lines) == 10 + 1 and max(map(len, lines)) <= 120 + len(str(CHAIN))
    assert "1,280 completions in 160 groups of 8" in lines[0] and str(CHAIN) in lines[0]
    mean = chain.summary["overlap"]["path_depth"]["mean"]
    assert re.search(rf"path depth +{mean:.3g} \[.*cross-prompt", lines[1])
    auc = chain.summary["credit"]["leave_pair_out_auc"]
    order = next(line for line in lines if line.startswith("  order of unseen pairs"))
    assert (
        order.endswith(f", p = {auc['p_value']:.3g}") and f"rewards permuted {100 * auc['null_mean']:.3g} % [" in order
    )
    low, high = (100 * chain.summary["verdict"]["findings"][0][end] for end in ("low", "high"))
    ends = f"[{low:.3g}, {high:.3g}]"
    assert lines[-2] == f"  To do: 18 % {ends} of completions are copies in their group: raise the temperature"
    worst = chain.summary["defects"]["worst_groups"]["examples"][0]
    assert lines[-1].startswith(f".tree('{worst['step']}:{worst['group_key']}'): {worst['suppressed_good_tokens']} of ")


def test_a_log_without_anything_to_compare_shows_itself():
    alone = grpo_prm.analyze([{"uid": 0, "completion_ids": [7], "reward": 1.0}] * 1 + [
        {"uid": 0, "completion_ids": [8], "reward": 1.0}])  # fmt: skip
    assert "2 completions in 1 group of 2" in repr(alone) and ".tree(NAME)" in repr(alone)
    assert re.search("path depth +0 +cross-prompt -\n", repr(alone)) and "<table" in alone._repr_html_()
    assert re.search(r"mean \|A\| +- +rewards permuted -\n", repr(alone))


def test_what_is_in_doubt_has_a_line_in_a_shell():
    """Rejected rows, groups of several prompts, advantages that are not those of the rewards, what was inferred."""
    rows = [row | {"question": row["uid"], "advantage": row["reward"] - 1} for row in rows_of(6)]
    rows[0]["question"] = "another"
    rows[3] |= {"reward": None}
    summary = grpo_prm.analyze(rows).summary
    lines, differ = repr(grpo_prm.analyze(rows)).splitlines(), summary["counts"]["advantage_mismatch"]
    todo = len(summary["verdict"]["findings"])
    assert len(lines) == 10 + 3 + len(summary["source"]["notes"]) + todo and summary["source"]["notes"]
    assert lines[1:4] == [
        "  1 of 18 rows rejected (.rejected says why)",
        "  1 group of mixed prompts, counted all the same",
        f"  {differ} groups with logged advantages that the rewards do not give (std sample)",
    ]
    assert differ > 1
    assert lines[4].strip() == summary["source"]["notes"][0]


def test_what_came_from_memory_has_no_name_in_a_shell():
    tokens, rewards = [[7, 1], [7, 2], [5], [5, 1]], [1.0, 0.0, 1.0, 0.0]
    analysis = grpo_prm.analyze(grpo_prm.Groups.of(tokens, rewards, 2))
    assert repr(analysis).startswith("Analysis of rollouts, no steps logged: 4 completions in 2 groups of 2.")


def test_the_summary_as_html(chain):
    page = chain._repr_html_()
    tables = [part for _, body in sections(chain.summary) for part in body if isinstance(part, Rows)]
    assert page.count("<table") == page.count("</table>") == len(tables) >= 2
    for said in (
        "is their reliability",
        "update norm, turned by",
        "raise the temperature",
        "What was read",
        "Do completions overlap?",
        "Where does it hurt?",
        "path depth",
        ".tree(",
    ):
        assert said in page


HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e&"


def test_what_a_log_says_is_never_markup(tmp_path):
    """A file, a run, a key, a prompt and a completion may be called anything."""
    path = tmp_path / "\x1b[31m\u202e<img src=x onerror=alert(1)>.jsonl"
    rows = [
        {"run": HOSTILE, "uid": HOSTILE, "prompt": HOSTILE, "completion": f"{HOSTILE} {sample % 2} {sample}"}
        | {"reward": float(sample == 2)}
        for sample in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    analysis = grpo_prm.analyze(path)
    tree = analysis.tree(f"-:{HOSTILE}")
    for page in (analysis._repr_html_(), tree._repr_html_()):
        assert not re.search(r"<(script|img src=x)", page) and "\x1b" not in page and "\u202e" not in page
    for text in (repr(analysis), repr(tree)):
        assert "\x1b" not in text and "\u202e" not in text
    assert "alert(1)" in html.unescape(tree._repr_html_()) and "<script>" in repr(tree)


def test_a_tree_is_that_of_the_command(chain, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command = [sys.executable, "-m", "grpo_prm", "tree", str(CHAIN), "--group", "40:p0802"]
    out = subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout
    tree = chain.tree("40:p0802")
    assert repr(tree).splitlines() == [line.rstrip() for line in out.rstrip().splitlines()]
    out = subprocess.run([*command, "--json"], capture_output=True, check=True, encoding="utf-8").stdout
    assert tree.groups == json.loads(out)
    page = tree._repr_html_()
    assert "<script" not in page and "suppressed good: 36" in re.sub(r"<[^>]*>", "", page)


@pytest.mark.parametrize("kind", ["file", "rows", "table", "rollouts", "saved", "saved rows"])
def test_a_group_that_was_not_kept_is_read_again(kind, tmp_path):
    rows, path = rows_of(), tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    logs = {"file": path, "rows": rows, "table": pl.DataFrame(rows), "saved": path, "saved rows": rows}
    logs["rollouts"] = [next(grpo_prm.read_rollouts(path))]
    analysis = grpo_prm.analyze(logs[kind], FEW)
    name = not_kept(analysis)
    if kind.startswith("saved"):
        analysis = grpo_prm.open(analysis.save(tmp_path / "log.prm", figures=False))
    if kind == "saved rows":
        with pytest.raises(UsageError, match=rf"{name}: its rollouts were not kept, and its log .* Kept are -:p"):
            analysis.tree(name)
        return
    (tree,) = analysis.tree(name).groups
    assert (tree["group_key"], tree["k"]) == (name[2:], 3)
    assert tree["reward_mean"] == (int(name[3:]) + 1) / 3


def test_runs_of_a_folder_keep_their_names_after_opening(tmp_path):
    """The summary names the files alone, and a file is a run called like itself and not like its folder."""
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        lines = [json.dumps(row) + "\n" for row in rows_of()]
        (tmp_path / run / f"log-{run}.jsonl").write_text("".join(lines[3:] if run == "two" else lines))
    analysis = grpo_prm.analyze([tmp_path / "one", tmp_path / "two"], FEW)
    name = not_kept(analysis)
    opened = grpo_prm.open(analysis.save(tmp_path / "log.prm", figures=False))
    assert [group["run"] for group in opened.tree(name).groups] == ["one", "two"]


def test_batches_that_came_one_by_one_are_gone(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of()))
    analysis, more = (grpo_prm.analyze(grpo_prm.read_rollouts(path), options) for options in (FEW, None))
    path.unlink()
    name = not_kept(analysis)
    assert more.tree(name).groups[0]["group_key"] == name[2:]
    with pytest.raises(UsageError, match=r"its rollouts were not kept, and its log \(.*log\.jsonl\) is not here"):
        analysis.tree(name)
    kept = analysis.samples["group_key"][0]
    assert analysis.tree(f"-:{kept}").groups[0]["group_key"] == kept


@pytest.mark.parametrize("change", ["reward", "size", "name", "order"])
def test_a_log_that_has_changed_is_not_shown(change, tmp_path):
    rows, path = rows_of(), tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    analysis = grpo_prm.analyze(path, FEW)
    name = not_kept(analysis)
    if change == "reward":
        rows = [row | {"reward": row["reward"] + 1} for row in rows]
    if change == "size":  # the mean stays
        rows += [row | {"completion_ids": [*row["completion_ids"], 5]} for row in rows]
    if change == "name":  # of the groups before and after it; their numbers stay
        rows = [row | {"uid": f"p{(int(row['uid'][1:]) + 7) % MANY}"} for row in rows]
    if change == "order":
        rows = rows[::-1]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError, match="has changed since it was analysed"):
        analysis.tree(name)


def test_a_name_that_runs_share_is_several_trees():
    """Of two runs with the same keys one group was kept and the other not, or both were."""
    rows = [row | {"reward": float(row["completion_ids"] != [9, 1, 7])} for row in rows_of()]
    analysis = grpo_prm.analyze([row | {"run": run} for run in ("a", "b") for row in rows], FEW)
    kept = analysis.samples.unique("group")["group_key"].to_list()
    times = [kept.count(f"p{n}") for n in range(MANY)]
    for key in (f"p{times.index(n)}" for n in range(3)):  # kept of no run, of one, of both
        tree = analysis.tree(f"-:{key}")
        assert [(group["run"], group["group_key"]) for group in tree.groups] == [("a", key), ("b", key)]
        assert repr(tree).count(f"group {key}") == 2
        assert [group["run"] for group in analysis.tree(f"b:-:{key}").groups] == ["b"]
    assert re.search(r"^\.tree\('[ab]:-:p\d+'\)", repr(analysis), re.MULTILINE)  # the run has to be said


def test_advantages_of_a_step_are_those_of_the_analysis():
    """One group does not know the deviation of its step."""
    analysis = grpo_prm.analyze(rows_of(step=0), grpo_prm.Options(std="batch", keep_text=0))
    name = not_kept(analysis)
    (tree,) = analysis.tree(name).groups
    used = analysis.completions.filter(group_key=name[2:]).collect()
    ends = {end["sample"]: end["advantage"] for step in tree["steps"] for end in step["ends"]}
    assert ends == dict(used.select("sample", "advantage").iter_rows()) and max(ends.values()) > 0


@pytest.mark.parametrize(("name", "said"), [("40:p9", "near it: 40:p"), (3, "not by a int"), (None, "not by a None")])
def test_a_group_that_is_not_there(chain, name, said):
    with pytest.raises(UsageError, match=said):
        chain.tree(name)


def test_a_figure(chain, tmp_path):
    figure = chain.plot("overlap_over_training", tmp_path / "figures" / "overlap.png")
    assert isinstance(figure, Figure) and len(figure.axes) == 2
    assert (tmp_path / "figures" / "overlap.png").read_bytes().startswith(b"\x89PNG")
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook asks for
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["overlap.png"]
    assert chain.plot("group_tree", group="40:p0802", venue="icml").get_figwidth() == pytest.approx(3.25)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("overlap_over_trainin",), "Did you mean overlap_over_training"),
        ((None,), "Choose from overlap_over_training"),
        (("overlap_over_training", "figure.doc"), "written as .pdf, .png, .svg"),
        (("overlap_over_training", "figure"), "written as .pdf, .png, .svg"),
    ],
)
def test_figures_that_cannot_be_had(chain, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        chain.plot(*arguments)
    with pytest.raises(UsageError, match="venue"):
        chain.plot("overlap_over_training", venue="nature")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_page_without_a_folder(chain, saved, tmp_path):
    page = chain.report(tmp_path / "page.html").read_text()
    assert "not saved" in page and str(tmp_path) not in page
    assert "analysis.tree('40:p0802')" in {tree["command"] for tree in data_of(tmp_path / "page.html")["trees"]}
    with without_figures():
        kept = grpo_prm.open(saved).report(tmp_path / "kept.html").read_text()
    assert f"<code>{saved}</code>" in kept
    with pytest.raises(UsageError, match="is a folder"):
        chain.report(tmp_path)


@without_figures()
def test_the_page_says_what_was_rejected(tmp_path):
    rows = [*rows_of(3), {"uid": "p0", "completion_ids": [1], "reward": None}]
    page = grpo_prm.analyze(rows).report(tmp_path / "page.html").read_text()
    assert "first: rows in memory, line 10" in page


@pytest.mark.slow
def test_a_folder_is_that_of_the_command(tmp_path):
    rows, path = rows_of(), tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no JSON\n")
    command = [sys.executable, "-m", "grpo_prm", "analyze", str(path), "--out", str(tmp_path / "theirs.prm"), "--json"]
    subprocess.run(command, capture_output=True, check=True)
    mine = grpo_prm.analyze(str(path)).save(tmp_path / "mine.prm")
    one, other = (sorted(p.relative_to(f) for p in f.rglob("*")) for f in (mine, tmp_path / "theirs.prm"))
    assert one == other and Path("figures/overlap_over_groups.pdf") in one
    for name in one:
        if (mine / name).is_file():
            assert (mine / name).read_bytes() == (tmp_path / "theirs.prm" / name).read_bytes(), name


def test_an_analysis_comes_back(chain, saved, tmp_path):
    again = grpo_prm.open(saved)
    assert isinstance(again, grpo_prm.Analysis) and again.path == saved and chain.path is None
    assert repr(again) == repr(chain) and again._repr_html_() == chain._repr_html_()
    for name in (*TABLES, "rejected"):
        assert_frame_equal(getattr(again, name).lazy().collect(), getattr(chain, name).lazy().collect())
    assert repr(again.tree("40:p0802")) == repr(chain.tree("40:p0802"))
    shutil.copytree(saved, tmp_path / "copy.prm")
    (tmp_path / "copy.prm" / "notes.txt").write_text("mine")
    again = grpo_prm.open(tmp_path / "copy.prm")
    again.save(tmp_path / "copy.prm", figures=False)  # over the files that its lazy tables are read from
    assert_frame_equal(again.completions.collect(), chain.completions.collect())
    assert (tmp_path / "copy.prm" / "notes.txt").read_text() == "mine"


def test_what_is_no_folder_of_an_analysis(tmp_path):
    with pytest.raises(InputError, match="not a folder of grpo-prm analyze"):
        grpo_prm.open(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        grpo_prm.analyze(batch_of([("a", 0, "p", [Row([1], reward=1.0)] * 2)])).save(CHAIN)
