"""The first screen of `analyze`: eighteen lines at most, whatever a log says; every finding in it or counted by it."""

import json
import re
import shlex
from itertools import product

import pytest
from grpo_prm_cli.screen import LINES, show_doubts, show_verdict
from typed import run

from grpo_prm.analysis.findings import CODES
from grpo_prm.text.verdict import CHANGES, KNOWS, findings

AUC = {"mean": 0.5128, "low": 0.47, "high": 0.55, "null_mean": 0.504, "null_low": 0.469, "null_high": 0.539}
AUC |= {"p_value": 0.315}
NORM = {"mean": 0.742, "low": 0.701, "high": 0.783, "n": 150}
WHY = {
    "reliability": "no step that only some of a group share is raised or pushed down",
    "leave_pair_out_auc": "no two completions of unequal reward share a step with others",
    "update_norm": "all step advantages are 0",
}


def finding(code, measure=None):
    command = (
        "grpo-prm report DIR"
        if code in ("sampler_gap", "boilerplate", "low_reliability")
        else "grpo-prm tree DIR --group 0:p1"
    )
    return {"code": code, "value": 0.9, "low": 0.8765, "high": 0.9234, "groups": 1234, "command": command} | (
        {"measure": measure} if measure else {}
    )


ALL = [finding(code, measure) for code, measure in
       ((code, None) if code != "sampler_gap" else (code, "effective_sample_size") for code in CODES)]  # fmt: skip


def summary_of(
    knows="steps",
    changes="direction",
    todo=(),
    *,
    known=True,
    close=False,
    copied=False,
    risk="exploration",
    sizes=(2, 8, 64),
):
    reliability = {"mean": 0.497, "low": 0.392, "high": 0.585, "n": 150}
    answer = {
        "code": knows,
        "close": close,
        "close_by": ["leave_pair_out_auc"] if close else [],
        "reliability": reliability if known else None,
        "leave_pair_out_auc": AUC if known else None,
    }
    answer |= {"decisions": 12345, "decidable": 2345, "sure_decisions": 1234}
    answer |= {"copied": copied, "copies": 0.401, "reliability_texts_once": {"mean": 0.528}}
    share = {"mean": 0.741, "low": 0.704, "high": 0.778, "n": 150}
    change = {"code": changes, "risk": risk, "power": 0.5, "norm": NORM, "close": False, "close_by": []}
    change |= {"degrees": 26.76, "degrees_low": 21.14, "degrees_high": 33.05}
    return {
        "source": {"format": "canonical", "files": ["log.jsonl"], "runs": ["log"], "notes": ["one note"]}
        | {"options": {"std": "sample"}}
        | {"steps": {"first": 0, "last": 123456, "count": 12345}},
        "counts": {"groups": 123456, "completions": 12345678, "rejected": 4321}
        | {"group_size": dict(zip(("min", "mode", "max"), sizes, strict=True))}
        | {"groups_prompts_differ": 0, "groups_split": 0, "advantage_mismatch": None},
        "overlap": {"path_depth": {"n": 150, "mean": 1.5}},
        "notes": WHY,
        "verdict": {"knows": answer, "changes": change | {"raised_share": share}, "findings": list(todo)}
        | {"nearest": None},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def eighty(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def unwrapped(lines):
    return " ".join(line.strip() for line in lines)


def screen(capsys, summary, folder="log.prm", **options):
    show_verdict(summary, folder, **options)
    out, err = capsys.readouterr()
    assert not err
    return out.splitlines()


def usual(summary):
    """A log of a usual size, whose first line is one line."""
    summary["counts"] |= {"rejected": 0, "groups": 160, "completions": 1280}
    summary["counts"]["group_size"] = {"min": 8, "mode": 8, "max": 8}
    summary["source"]["steps"] = {"first": 0, "last": 56, "count": 8}
    return summary


@pytest.mark.parametrize("count", range(len(ALL) + 1))
def test_eighteen_lines_of_eighty_columns_at_most_and_no_finding_is_lost(capsys, count):
    codes = product(KNOWS, [*CHANGES, "cannot_say"], (True, False), (True, False), (True, False))
    for knows, changes, known, large, copied in codes:
        said = summary_of(knows, changes, ALL[:count], known=known, close=known, copied=known and copied)
        lines = screen(capsys, said if large else usual(said))
        assert len(lines) <= LINES + 2 * (known and copied) and all(len(line) <= 80 for line in lines), lines
        text = unwrapped(lines)
        shown = [one for one in findings(said, "log.prm") if one.sentence in text or one.short in text]
        more = [int(n) for n in re.findall(r"^(\d+) more finding", lines[-1])]
        assert len(shown) + sum(more) == count and (shown or not count)
        assert ("No finding. Nothing that is checked is half way to being one." in unwrapped(lines)) == (count == 0)
        assert lines[-1].endswith("; a page: grpo-prm report log.prm")
        # The first finding shows how to look at it, unless the log is too large for short answers.
        assert large or not count or "  grpo-prm tree log.prm --group 0:p1" in [line[:36] for line in lines]


def test_with_full_every_finding_has_its_command(capsys):
    lines = screen(capsys, summary_of(todo=ALL), whole=True)
    assert sum(line.startswith("  grpo-prm ") for line in lines) == len(ALL)
    assert not any("more finding" in line or "--full" in line for line in lines)
    assert all(f"(grpo-prm explain {code})" in unwrapped(lines) for code in CODES)


def test_what_explains_a_finding_stands_beside_its_command_or_below(capsys):
    short = {"code": "copies", "value": 0.123, "groups": 3, "command": "grpo-prm tree DIR --group p"}
    long = short | {"command": f"grpo-prm tree DIR --group {'p' * 60}"}
    for whole in (False, True):
        end = [] if whole else ["More: --full for every number; a page: grpo-prm report log.prm"]
        few = usual(summary_of("nothing", "next_to_nothing", [long]))
        command = f"  grpo-prm tree log.prm --group {'p' * 60}"
        assert screen(capsys, few, whole=whole)[-3 + whole :] == [command, "  (grpo-prm explain copies)", *end]
        few = usual(summary_of("nothing", "next_to_nothing", [short]))
        command = "  grpo-prm tree log.prm --group p   (grpo-prm explain copies)"
        assert screen(capsys, few, whole=whole)[-2 + whole :] == [command, *end]


def test_questions_stand_over_their_numbers_and_each_number_begins_a_line(capsys):
    some = usual(summary_of("nothing", "next_to_nothing", ALL[:2], risk=None))
    assert screen(capsys, some) == [
        "canonical log, 8 steps from 0 to 56: 1,280 completions in 160 groups of 8.",
        "Are the step rewards more than luck? No sign of it.",
        "  A step: text that completions share. Its reward: their mean. [ ]: 95 % range.",
        "  0.497 [0.392, 0.585] is their reliability (1: no luck; 0 or less: luck).",
        "  51.3 % of the time they tell which of two unseen completions has more reward",
        "  (luck alone: 50.4 % [46.9, 53.9], p = 0.315).",
        "  1,234 of 2,345 decisions with enough texts (of 12,345) surely go with reward.",
        "What would λ-GRPO change? Next to nothing.",
        "  0.742 [0.701, 0.783] times GRPO's update norm with λ power p = 0.5, turned by",
        "  26.8° [21.1, 33].",
        "What to do? 1,234 groups mix prompts (they count): step rewards there compare",
        "  completions of different prompts; group rows by prompt",
        "  grpo-prm tree log.prm --group 0:p1   (grpo-prm explain mixed_prompts)",
        "  90 % [87.6, 92.3] of completions hold tool output that the log does not mask:",
        "  mask it",
        "  grpo-prm tree log.prm --group 0:p1   (grpo-prm explain unmasked_tool_output)",
        "More: --full for every number; a page: grpo-prm report log.prm",
    ]


def test_a_command_stays_whole_however_long_it_is(capsys):
    folder = f"runs of {'long ' * 20}.prm"
    lines = screen(capsys, usual(summary_of(todo=ALL[:1])), folder)
    assert f"  grpo-prm tree {shlex.quote(folder)} --group 0:p1" in lines and len(lines) <= LINES


def test_what_a_log_is_called_commands_no_terminal(capsys):
    some = summary_of(todo=[ALL[0] | {"command": "grpo-prm tree DIR --group '-:\x1b[2J'"}])
    lines = screen(capsys, some, "a\x1b[31m.prm")
    assert "\x1b" not in "".join(lines) and r"\x1b[2J" in "".join(lines)


def test_doubts_are_notes_on_stderr(capsys):
    some = summary_of()
    some["counts"] |= {"groups_prompts_differ": 1, "groups_split": 2, "advantage_mismatch": 3}
    show_doubts(some)
    out, err = capsys.readouterr()
    assert not out and [line for line in err.splitlines() if line.startswith("Note: ")] == [
        "Note: 2 prompts were drawn more than once in a step: #2 behind a key is a second",
        "Note: 1 group mixes prompts: step rewards there compare completions of different",
        "Note: In 3 groups the logged advantages differ from those that the rewards give ",
        "Note: one note",
    ]


# ---------------------------------------------------------------- the command itself


def rows():
    """Groups of copies, with a tool's output, of several prompts, of one outcome; two of equal rewards."""
    for p in range(6):
        for i in range(4):
            answer = "the same" if p == 1 else f"so {p} is {i // 2} {i}"
            text = f"<tool_response>{i}</tool_response> {answer}" if p == 2 else answer
            right, style = float(p != 4 and i % 2), float(i == 3)
            parts = {"right": 0.0, "style": 0.0} if p % 5 == 0 else {"right": right, "style": style}
            prompt = f"{p}?" if p != 3 else f"{p}? {i}"
            yield {"step": 1, "uid": f"p{p}", "prompt": prompt, "completion": text, **parts}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A log with every finding that has a group, analysed, and its folder."""
    folder = tmp_path_factory.mktemp("findings")
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    options = ("--reward", "right+style", "--outcome", "right", "--columns", "group=uid", "--no-figures")
    done = run("analyze", "log.jsonl", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, options, done


def test_what_findings_of_groups_tell_to_type_works(found):
    folder, _, done = found
    summary = json.loads((folder / "log.prm" / "summary.json").read_text())
    with_group = [one for one in summary["verdict"]["findings"] if " tree " in one["command"]]
    assert {one["code"] for one in with_group} == {
        *("mixed_prompts", "unmasked_tool_output", "phantom_advantage", "teaches_nothing", "copies"),
    }
    shows = {
        "mixed_prompts": "group p3",
        "unmasked_tool_output": "tool_response",
        "phantom_advantage": "group p4",
        "teaches_nothing": "group p0",
        "copies": "the same",
    }
    (folder / "log.jsonl").rename(folder / "gone.jsonl")  # the folder has all that is needed
    for one in with_group:
        tree = run(*shlex.split(one["command"].replace("DIR", "log.prm"))[1:], cwd=folder)
        assert tree.returncode == 0 and shows[one["code"]] in tree.stdout, (one, tree)
    (folder / "gone.jsonl").rename(folder / "log.jsonl")
    lines = done.stdout.splitlines()
    assert len(lines) == LINES + 2  # one on how few problems count, one on copies


@pytest.mark.parametrize(
    ("codes", "code", "message"),
    [
        (["copies"], 6, "error: The log has copies, which --fail-on names."),
        (["copies,teaches_nothing"], 6, "The log has teaches_nothing, copies, which"),
        (["copies", "--fail-on", "teaches_nothing"], 6, "The log has teaches_nothing, copies, which"),
        (["sampler_gap"], 0, ""),
        (["copies,copy"], 2, "no finding is called 'copy'. Choose from mixed_prompts, "),
    ],
)
def test_fail_on_names_findings(found, tmp_path, codes, code, message):
    folder, options, _ = found
    done = run("analyze", folder / "log.jsonl", *options, "--fail-on", *codes, cwd=tmp_path)
    assert done.returncode == code and message in " ".join(done.stderr.split())
    assert (tmp_path / "log.prm").exists() == (code != 2)  # a misspelt code is told before anything is read
    assert ("more than luck?" in done.stdout) == (code != 2)


def test_rejected_rows_under_strict_win_over_findings(found, tmp_path):
    folder, options, _ = found
    log = tmp_path / "log.jsonl"
    log.write_text((folder / "log.jsonl").read_text() + '{"step": 1, "uid": "p0"}\n')
    done = run("analyze", log, *options, "--fail-on", "copies", "--strict", cwd=tmp_path)
    assert done.returncode == 4 and "1 row was rejected." in done.stderr
    assert run("analyze", log, *options, "--fail-on", "copies", cwd=tmp_path).returncode == 6


NEAR = {"code": "low_reliability", "value": 0.497, "low": 0.392, "high": 0.51, "limit": 0.5, "close": True, "k": 8}


@pytest.mark.parametrize("count", range(1, len(ALL) + 1))
def test_what_hangs_on_a_seed_is_said_in_sixteen_lines(capsys, count):
    """Each number that may, with whatever is found, of a log of a usual size; one that just is no finding, too."""
    for power, risk, by in product((0.5, 1.0), ("exploration", "even"), ("update_norm", "raised_share", "reliability")):
        said = usual(summary_of(todo=ALL[-count:], close=True, risk=risk))
        said["verdict"]["changes"] |= {"power": power, "close_by": [by]}
        said["verdict"]["knows"]["close_by"] += ["reliability"] * (by == "reliability")
        said["verdict"]["nearest"] = NEAR if by == "reliability" else None
        lines = screen(capsys, said)
        assert len(lines) <= LINES and all(len(line) <= 80 for line in lines), lines
        assert unwrapped(lines).count("another seed may differ") == 2
