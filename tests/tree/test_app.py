"""A group to walk through in the terminal: what stands on the screen after each key."""

import asyncio
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import polars as pl
import pytest
from textual.widgets import Tree

from grpo_prm.logs.rollouts import SCHEMA
from grpo_prm.tree.app import MOST, START, TreeApp, description
from grpo_prm.tree.printed import LEVELS
from grpo_prm.tree.view import group_tree

BAD = [[1, 2, 3], [1, 2, 4], [1, 2, 5], [1, 6]]  # two of three members of the step [2] fail, so it is pushed down
HOSTILE = (
    "[bold]x[/bold]",
    "[/nope]",
    "[@click=app.quit]go[/]",
    "$primary [on red]",
    ":smile:",
    "\x1b[2J\x07",
    "a\u202eb\u2028c\rd",
    "[link=https://e.org]l",
)


def group(tokens, rewards, texts=None, **columns):
    rows = {"run": "base", "step": 3, "group": 0, "group_key": "p7", "sample": range(len(tokens)), "tokens": tokens}
    rows |= {"reward": rewards, "completion": texts, "tokens_from": "log"} | columns
    table = pl.DataFrame(rows, schema_overrides={c: SCHEMA[c] for c in rows}, strict=False)
    table = table.with_columns(pl.lit(None, SCHEMA[c]).alias(c) for c in SCHEMA if c not in rows)
    return group_tree(table.select(*SCHEMA))


def screen(app):
    """The lines on the screen, out of textual's picture of it."""
    rows = defaultdict(str)
    for y, text in re.findall(r'<text class="\S+-r\d+"[^>]* y="([\d.]+)"[^>]*>(.*?)</text>', app.export_screenshot()):
        rows[float(y)] += unescape(text).replace("\xa0", " ")
    return "\n".join(rows[y] for y in sorted(rows))


def alone(work):
    """Run a coroutine in a thread of its own: the browser of other tests leaves a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def walk(trees, *keys, size=(140, 40), look=None):
    """Press the keys; return the screen, the text of the pane, and the app."""

    async def go():
        app = TreeApp(trees)
        async with app.run_test(size=size) as pilot:
            await pilot.press(*keys)
            await pilot.pause()
            await pilot.pause()  # a message of the tree goes up to the app first
            pane = "".join(line.text.rstrip() + "\n" for line in lines_of(app.query_one("#step")))
            return (look(app) if look else screen(app)), pane, app

    return alone(go())


def lines_of(static):
    return [static.render_line(y) for y in range(static.size.height)]


def labels(app):
    """Every line of the tree, top to bottom."""
    tree = app.query_one("#steps", Tree)
    return [tree.get_node_at_line(y).label.plain for y in range(tree.last_line + 1)]


def test_the_tree_says_size_reward_advantage_with_sign_and_what_is_wrong():
    lines, pane, _ = walk([group(BAD, [1, 0, 0, 1], ["abx", "aby", "abz", "ac"])], look=labels)
    # r = 1, 0, 0, 1: mean 1/2, sample standard deviation .57735; [2]: R = 1/3, A = (1/3 - 1/2) / .57745 = -.289
    assert lines == [
        "|λ| 4  R 0.500  A 0.000  a",
        "|λ| 3  R 0.333  A -0.289 ◀ suppressed good: 1  b",
        "|λ| 1  R 1.000  A +0.866 ■ #0 reward 1  x",
        "|λ| 1  R 0.000  A -0.866 ■ #1 reward 0  y",
        "|λ| 1  R 0.000  A -0.866 ■ #2 reward 0  z",
        "|λ| 1  R 1.000  A +0.866 ■ #3 reward 1  c",
    ]
    assert "root: 4 of 4 completions" in pane  # the cursor starts there


def test_the_sign_of_a_is_a_colour_too():
    def colours(app):
        tree = app.query_one("#steps", Tree)
        found = [tree.get_node_at_line(y).label for y in range(4)]
        return [[(label.plain[s.start : s.end], s.style) for s in label.spans][:1] for label in found]

    assert walk([group(BAD, [1, 0, 0, 1], ["abx", "aby", "abz", "ac"])], look=colours)[0] == [
        [],
        [("-0.289", "red")],
        [("+0.866", "cyan")],
        [("-0.866", "red")],
    ]


def test_boosted_bad_is_marked_and_equal_rewards_are_said():
    boosted = walk([group(BAD, [1, 1, 0, 0])], "down")
    assert "◀ boosted bad: 1 tokens" in boosted[1] and "◀ boosted bad: 1 " in boosted[0]
    assert "All rewards are equal: this group trains nothing." in walk([group(BAD, [1, 1, 1, 1])])[0]


def test_arrows_choose_the_step_that_the_pane_shows():
    tree = group(
        BAD, [1, 0, 0, 1], ["a\nbx", "a\nby", "a\nbz", "ac"], prompt="why?", truncated=[False, True, None, None]
    )
    _, pane, _ = walk([tree], "down")
    assert pane.startswith(
        "intermediate: 3 of 4 completions\nR 0.333  A -0.289\n1 tokens at 1 to 2, 3 of 3 in the loss\n"
    )
    assert "◀ suppressed good: 1 tokens\n\n⏎b" not in pane and "\n\n\nb\n\n" in pane  # its line break is one
    assert "\nmembers\n#0 reward 1\n#1 reward 0, truncated\n#2 reward 0\n" in pane and "why?" not in pane
    _, pane, _ = walk([tree], "down", "down", "down", "up", "up", "up")
    assert pane.startswith("root: 4 of 4") and "\nmembers\n#0 #3 reward 1\n" in pane and "\nprompt\nwhy?\n" in pane


def test_tokens_out_of_the_loss_are_counted():
    tree = group(BAD, [1, 0, 0, 1], mask=[[False, True, True]] * 3 + [[False, True]])
    assert "1 tokens at 0 to 1, 0 of 4 in the loss" in walk([tree])[1]


def test_enter_closes_a_step_and_opens_it():
    tree = group(BAD, [1, 0, 0, 1])
    assert len(walk([tree], "down", "enter", look=labels)[0]) == 3
    assert len(walk([tree], "down", "enter", "enter", look=labels)[0]) == 6


@pytest.mark.slow
def test_n_and_p_go_round_the_groups_and_start_at_the_root():
    trees = [group(BAD, [1, 0, 0, 1], group_key=key) for key in ("first", "second")] + [group([[9], [8]], [1, 0])]
    assert "group first: 4 completions" in walk(trees)[0] and "(group 1 of 3)" in walk(trees)[0]
    shown, pane, _ = walk(trees, "down", "down", "n")
    assert "group second" in shown and "(group 2 of 3)" in shown and pane.startswith("root: 4 of 4")
    for keys in ("nn", "p"):
        shown, pane, _ = walk(trees, *keys)
        assert "group p7" in shown and "(group 3 of 3)" in shown and pane.startswith("root: 2 of 2")
    assert "group first" in walk(trees, "n", "n", "n")[0]
    assert len(walk(trees, "enter", "n", look=labels)[0]) == 6  # closed in one, open in the next


def test_a_cursor_that_moved_just_before_the_group_changed_shows_the_new_group():
    def hurry(app):
        app.query_one("#steps", Tree).cursor_line = 5
        app.action_group(1)

    async def go():
        app = TreeApp([group(BAD, [1, 0, 0, 1]), group([[9], [8]], [1, 0])])
        async with app.run_test() as pilot:
            await pilot.pause()
            hurry(app)
            await pilot.pause()
            return "".join(line.text for line in lines_of(app.query_one("#step")))

    assert alone(go()).startswith("root: 2 of 2")


@pytest.mark.slow
def test_the_keys_stand_in_the_footer_and_those_for_groups_only_where_there_are_some():
    trees = [group(BAD, [1, 0, 0, 1])]
    many, one = walk(trees * 2)[0].splitlines()[-1], walk(trees)[0].splitlines()[-1]
    assert re.findall("n next group|p previous group|tab other pane|q quit", many) == [
        "tab other pane", "n next group", "p previous group", "q quit",
    ]  # fmt: skip
    assert "quit" in one and "group" not in one
    assert walk(trees, "n", "p")[1].startswith("root")


def test_q_quits_without_an_error():
    app = walk([group(BAD, [1, 0, 0, 1])], "q", look=lambda app: app.is_running)[2]
    assert app.return_code == 0


@pytest.mark.slow
def test_tab_leads_to_the_pane_which_then_scrolls():
    tree = group(BAD, [1, 0, 0, 1], ["\n" * 300 + a + "\n" * 300 + b for a, b in ("ax", "ay", "az", "bc")])

    def place(app):
        return app.focused.id, app.query_one("#pane").scroll_offset.y

    assert walk([tree], "n", look=place)[0] == ("steps", 0)
    name, scrolled = walk([tree], "tab", "pagedown", look=place)[0]
    assert name == "pane" and scrolled > 0
    assert walk([tree], "tab", "pagedown", "tab", "down", look=place)[0] == ("steps", 0)  # another step from its top


@pytest.mark.slow
@pytest.mark.parametrize("size", [(140, 60), (70, 80)])
def test_hostile_text_is_shown_as_text(size):
    shown = ("\\x1b[2J\\x07", "a\\u202eb\\u2028c\\rd")
    expected = [text for text in HOSTILE if text.isprintable()] + list(shown)
    texts = [text + " é" for text in HOSTILE]
    tree = group([[i] for i in range(8)], range(8), texts, run="[red]r", group_key="[b]k\x1b", prompt="[i]p[/q]\x9b")
    lines, pane, _ = walk([tree], look=labels, size=size)
    assert [line.split("  ")[-1] for line in lines[1:]] == [
        text + " é" for text in [*expected[:5], *shown, expected[5]]
    ]
    assert "[i]p[/q]\\x9b" in pane
    assert lines == walk([tree, tree], "n", look=labels)[0]
    shared = group([[1, 2], [1, 3]], [1, 0], ["[b]a", "[b]c"])
    assert walk([shared], look=labels)[0][0].endswith("  [b]")
    picture, pane, app = walk([tree], *["down"] * 8, size=size)
    assert "[red]r, step 3, group [b]k\\x1b" in picture and "[link=https://e.org]l é" in pane
    assert "[@click=app.quit]go[/] é" in picture and app.return_code is None
    assert picture.replace("\n", "").isprintable() and "\x1b" not in pane


@pytest.mark.slow
def test_a_lone_surrogate_and_a_megabyte_do_not_stop_it():
    tree = group(BAD, [1, 0, 0, 1], ["abx", "aby", "abz", "ac"], prompt="q" * MOST)
    tree["steps"][1]["text"] = "\ud800" + "x y\n" * 250_000 + "the end"
    lines = walk([tree], "down", look=labels)[0]
    assert lines[1].startswith("|λ| 3  R 0.333  A -0.289 ◀ suppressed good: 1  \\ud800x y⏎x") and len(lines[1]) == START
    root, step = (description(tree, step).plain for step in tree["steps"][:2])
    assert "q" * MOST + "\n" in root and " characters (" not in root
    begin, end = step.split(f" … {1_000_013 - MOST:,} characters (tree --full prints them) … ")  # 6 for the surrogate
    text = "\\ud800" + "x y\n" * 250_000 + "the end"
    assert begin.endswith("\n\n" + text[: MOST // 2]) and end.startswith(text[-(MOST // 2) :] + "\n\nmembers")


def test_four_hundred_completions_and_a_step_below_each_other():
    wide = group([[i % 20, i] for i in range(400)], [i % 2 for i in range(400)])
    lines, pane, _ = walk([wide], look=labels)
    assert len(lines) == 1 + 20 + 400 and sum("■" in line for line in lines) == 400
    assert pane.count("#") == 400 and re.search(r"#398\s+reward 0", pane) and " more" not in pane
    deep = group([[7] * i + [1000 + i] for i in range(1200)], [i % 2 for i in range(1200)])
    lines, _, _ = walk([deep], look=labels)
    assert [re.search(r"\|λ\| (\d+)", line)[1] for line in lines] == [str(step["size"]) for step in deep["steps"]]
    for line, step in zip(lines, deep["steps"], strict=True):
        assert line.startswith(f"{step['depth']}· |λ|" if step["depth"] > LEVELS else "|λ|")


def test_the_tree_is_nested_as_the_steps_are():
    tree = group([[7] * i + [100 + i] for i in range(20)], range(20))

    def above(app):
        nodes = app.query_one("#steps", Tree)
        found = [nodes.get_node_at_line(y) for y in range(nodes.last_line + 1)]
        return [(node.data, node.parent.data if node.parent else None, node.allow_expand) for node in found]

    for step, parent, opens in walk([tree], look=above)[0]:
        if 0 < step["depth"] <= LEVELS:
            assert parent is tree["steps"][step["parent"]]
        assert opens == (step["depth"] < LEVELS and step["size"] > 1)


def test_no_rewards_and_no_steps_are_shown_as_such():
    _, pane, _ = walk([group(BAD, None)], "down")
    assert "R -  A -\n" in pane and "\n#0 #1 #2\n" in pane
    tree = group([[1], [2]], [1, 0])
    assert "(nothing is shared by all)" in description(tree, tree["steps"][0]).plain


def log(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [{"prompt": "2+2=", "uid": "p7", "step": 3, "completion": f"2+{b}={c}", "reward": r}
            for b, c, r in ((2, 4, 1), (3, 5, 0), (3, 4, 0), (2, 5, 0))]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(code, *arguments):
    return [sys.executable, "-c", f"{code}; from grpo_prm_cli.main import main; main()", "tree", *map(str, arguments)]


@pytest.mark.parametrize(
    ("options", "said"), [(["--json"], "excludes"), (["--full"], "excludes"), ([], "needs a terminal")]
)
def test_what_does_not_go_with_it_is_wrong_usage(tmp_path, options, said):
    arguments = command("import sys", log(tmp_path), "--tui", *options)
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("error: --tui") and said in done.stderr


def in_a_terminal(arguments, until, keys, **streams):
    """Run in a pseudo-terminal, press the keys once `until` is drawn; return the exit code and what was drawn."""
    ours, theirs = pty.openpty()
    places = {"stdin": theirs, "stdout": theirs, "stderr": theirs} | streams
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(arguments, env=environment, **places)
    os.close(theirs)
    drawn, deadline, pressed = b"", time.monotonic() + 90, False
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                drawn += os.read(ours, 65536)
            except OSError:  # it is gone
                break
        if until in drawn and not pressed:
            os.write(ours, keys)
            pressed = True
    code = process.wait(timeout=30)
    os.close(ours)
    return code, drawn.decode(errors="replace")


def test_a_real_terminal_shows_it_and_q_leaves(tmp_path):
    arguments = command("import sys", log(tmp_path), "--group", "3:p7", "--tui")
    code, drawn = in_a_terminal(arguments, b"quit", b"q")
    assert code == 0 and "group p7" in drawn and "\x1b[?1049l" in drawn  # the screen of before is back


def test_every_stream_must_be_the_terminal(tmp_path):
    for name in ("stdin", "stdout", "stderr"):
        code, _ = in_a_terminal(
            command("import sys", log(tmp_path), "--group", "3:p7", "--tui"),
            b"quit",
            b"q",
            **{name: subprocess.DEVNULL},
        )
        assert code == 2, name


def test_no_group_to_show_is_said_in_words(tmp_path):
    path = log(tmp_path)
    path.write_text(path.read_text().replace('"reward": 0', '"reward": 1'))
    code, drawn = in_a_terminal(command("import sys", path, "--tui"), b"never", b"")
    assert code == 0 and "No group has a suppressed-good token" in drawn and "\x1b[?1049h" not in drawn


def test_without_textual_one_line_says_what_to_install_before_the_log_is_read():
    code, drawn = in_a_terminal(
        command("import sys; sys.modules['textual'] = None", "/no/such/log", "--tui"), b"never", b""
    )
    assert code == 2
    assert drawn.startswith("error: this command needs textual. Install it: pip install 'grpo-prm[tui]'")


def test_help_does_not_import_textual():
    code = (
        "import sys; from grpo_prm_cli.main import main\n"
        "for command in ([], ['tree']):\n"
        "    sys.argv[1:] = [*command, '--help']\n"
        "    try: main()\n    except SystemExit: print('textual' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines().count("False") == 2 and "--tui" in shown and "[tui]" in shown
