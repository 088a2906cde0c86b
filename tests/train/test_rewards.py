"""Reward functions: where they come from, what they are given, and what becomes of those that fail."""

import contextlib
import math
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpo_prm.errors import UsageError
from grpo_prm.train.builtin_rewards import exact, final_answer, format_reward, last_boxed
from grpo_prm.train.data import PromptRow
from grpo_prm.train.rewards import load_rewards
from grpo_prm.train.time_limit import TimeUp, within


def rows(*answers, **columns):
    return [PromptRow(f"prompt {n}", [n], answer, {"n": n, **columns}) for n, answer in enumerate(answers)]


@pytest.fixture
def mine(tmp_path, monkeypatch, request):
    """A module of the user's in the working directory; its name, and where to write its code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    name = f"mine_{request.node.name.partition('[')[0]}"

    def write(code):
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield write
    sys.modules.pop(name, None)


def test_weighted_sum(mine):
    name = mine("def length(completion): return len(completion)\ndef one(**_): return True")
    rewards = load_rewards([f"{name}:length*0.5", f" {name}:one * -2", "exact*0"])
    got = rewards(rows("ab", "c"), ["ab", "abcd"])
    assert {key: value.tolist() for key, value in got.items()} == {
        "reward": [-1.0, 0.0],
        "length": [2.0, 4.0],
        "one": [1.0, 1.0],
        "exact": [1.0, 0.0],
    }
    assert all(value.dtype == np.float64 for value in got.values())
    assert {key: value.shape for key, value in rewards([], []).items()} == dict.fromkeys(got, (0,))


def test_functions_get_what_they_ask_for(mine):
    name = mine(
        "import numpy as np\n"
        "def some(completion, n, absent=7): return n * 100 + absent\n"
        "def every(prompt, completion, answer, **row):\n"
        "    assert (prompt, completion, answer, row) == ('prompt 0', 'x', 'a', {'n': 0, 'level': 3})\n"
        "    return np.float32(0.5)\n"
    )
    got = load_rewards([f"{name}:some", f"{name}:every"])(rows("a", level=3), ["x"])
    assert got["some"].tolist() == [7.0]
    assert got["every"].tolist() == [0.5]


def test_a_column_that_a_function_needs_is_named(mine):
    rewards = load_rewards([f"{mine('def f(level): return 1')}:f"])
    with pytest.raises(
        UsageError, match=r"The reward f needs level; there are .*, lvel, n, prompt\. Did you mean lvel"
    ):
        rewards(rows("a", lvel=3), ["x"])


def test_names_are_told_apart(mine, tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "other.py").write_text("def f(): return 2")
    name = mine("def f(): return 1\ndef reward(): return 3")
    got = load_rewards([f"{name}:f", "pack.other:f", f"{name}:reward"])(rows("a"), ["x"])
    assert {key: value.tolist() for key, value in got.items()} == {
        "reward": [6.0],
        f"{name}:f": [1.0],
        "pack.other:f": [2.0],
        f"{name}:reward": [3.0],
    }


def test_what_fails_is_counted_and_shown_once(mine):
    name = mine(
        "def f(completion):\n"
        "    if completion == 'exit': raise SystemExit\n"
        "    return {'none': None, 'text': '1', 'nan': float('nan'), 'good': 1}[completion]\n"
    )
    told = []
    rewards = load_rewards([f"{name}:f", "exact*0"], tell=told.append)
    watched = load_rewards([f"{name}:f*0", "exact"], tell=told.append)
    texts = ["good", "bad\x1b[2J", "none", "text", "exit", "nan", "good"]
    got = rewards(rows(*["a"] * 7), texts)
    np.testing.assert_array_equal(got["f"], [1, math.nan, math.nan, math.nan, math.nan, math.nan, 1])
    np.testing.assert_array_equal(got["reward"], got["f"])
    assert rewards.failed == {"f": 4, "exact": 0}  # NaN is what the function said
    assert len(told) == 1
    assert "The reward f raised KeyError" in told[0]
    assert f"{name}.py" in told[0]
    assert "\x1b" not in told[0]
    rewards(rows("a"), ["bad"])
    assert len(told) == 1
    assert rewards.failed["f"] == 5
    assert watched(rows("a"), ["bad"])["reward"].tolist() == [0.0]  # what is only recorded spoils nothing


def test_a_function_that_hangs_is_interrupted(mine):
    name = mine(
        "import re, time\n"
        "def f(completion):\n"
        "    while completion == 'loop':\n"
        "        try: pass\n"
        "        except Exception: pass\n"
        "    if completion == 'sleep': time.sleep(60)\n"
        "    if completion == 'regex': re.match('(a+)+$', 'a' * 40 + 'b')\n"
        "    return 1\n"
    )
    told = []
    rewards = load_rewards([f"{name}:f"], 0.1, told.append)
    began = time.monotonic()
    got = rewards(rows(*["a"] * 5), ["good", "loop", "sleep", "regex", "good"])
    assert time.monotonic() - began < 5
    np.testing.assert_array_equal(got["reward"], [1, math.nan, math.nan, math.nan, 1])
    assert "took longer than 0.1 s" in told[0]


def test_standard_error_is_told(mine, capsys):
    load_rewards([f"{mine('def f(): return 1 / 0')}:f"])(rows("a"), ["x"])
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_no_limit_in_time_no_alarm():
    before = signal.getsignal(signal.SIGALRM)
    assert within(5, lambda: "done") == "done"
    assert within(None, lambda: "done") == within(0, lambda: "done") == "done"
    with pytest.raises(KeyError):
        within(5, lambda: {}["a"])
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_that_was_set_goes_on():
    rung = []
    old = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeUp):
            within(0.05, lambda: time.sleep(5))
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 0.16
        time.sleep(0.3)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_the_alarm_rings_again_for_code_that_swallows_it(monkeypatch):
    monkeypatch.setattr("grpo_prm.train.time_limit.AGAIN", 0.05)

    def stubborn():
        for _ in range(2):
            with contextlib.suppress(BaseException):
                time.sleep(5)

    began = time.monotonic()
    within(0.05, stubborn)
    assert time.monotonic() - began < 3


def test_outside_the_main_thread():
    said, ran = [], []

    def forever():
        while True:
            ran.append(1)
            time.sleep(0.001)

    def work():
        said.append(within(5, lambda: "done"))
        for call in (forever, lambda: {}["a"]):
            try:
                within(0.1, call)
            except (TimeUp, KeyError) as error:
                said.append(type(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["done", TimeUp, KeyError]
    time.sleep(0.05)
    count = len(ran)
    time.sleep(0.05)
    assert len(ran) == count  # it does not run on behind


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([], r"There is no reward\. Name one with --reward: exact, format, math or module:function\."),
        (["exat"], r"no such reward; built in are exact, format, math\. Did you mean exact\?"),
        (["length"], r"A function of yours is module:function\."),
        (["exact*much"], r"much is not a weight\. Write it as exact\*0\.5\."),
        (["exact*nan"], r"nan is not a weight"),
        (["exact", "exact*2"], r"exact is given twice"),
        (
            ["no_such:f"],
            r"no_such:f: there is no module no_such in /.*\. Run grpo-prm where the module lies\.",
        ),
        (["no.such:f"], r"there is no module no\.such"),
        (["dir/mine.py:f"], r"dir/mine\.py is a file\. Name the module: dir\.mine:f\."),
        (["{}:lenght"], r"there is no function lenght in .*\.py\. Did you mean length\?"),
        (["{}:number"], r"there is no function number"),
    ],
)
def test_refusals(mine, specs, message):
    name = mine("number = 1\ndef length(completion): return 1")
    with pytest.raises(UsageError, match=message):
        load_rewards([spec.format(name) for spec in specs])


def test_a_module_that_fails_to_import_says_why(mine):
    with pytest.raises(UsageError, match=r"cannot be imported \(ModuleNotFoundError: No module named 'no_such'\)"):
        load_rewards([f"{mine('import no_such')}:f"])


def test_the_working_directory_shadows_nothing_afterwards(mine, tmp_path):
    (tmp_path / "helper.py").write_text("number = 4")
    (tmp_path / "polars.py").write_text("raise RuntimeError('imported, though not named')")
    name = mine("def f():\n    import helper\n    return helper.number")
    assert load_rewards([f"{name}:f"])(rows("a"), ["x"])["f"].tolist() == [4.0]
    assert sys.path[0] != str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1
    del sys.modules["helper"]


def test_exact_and_format_import_no_mathematics():
    code = (
        "from grpo_prm.train.rewards import load_rewards; load_rewards(['exact', 'format']); import sys; print(sorted("
    )
    code += "{'math_verify', 'sympy', 'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("completion", "answer", "right"),
    [
        ("so it is\n 42 \n\n", "42", 1),
        (r"so \boxed{42}, I think", "42", 1),
        (r"\boxed{1} no, \boxed{ \frac{1}{2} }", r"\frac{1}{2}", 1),
        (r"\boxed{42} and \boxed{43", "42", 1),  # the last one that closes
        ("42", "Half of 84 is 42.\n#### 42", 1),
        ("#### 42", "42", 1),
        ("42.0", "42", 0),
        ("the answer is 42", "42", 0),
        (r"\boxed{a \} b \{}", r"a \} b \{", 1),
        ("", "42", 0),
        ("", "", 1),
    ],
)
def test_exact(completion, answer, right):
    assert exact(completion=completion, answer=answer) == right


@pytest.mark.parametrize(
    ("completion", "good"),
    [
        (r"<think>hm</think> \boxed{1}", 1),
        (r"hm</think> \boxed{1}", 1),
        (r"\boxed{1}", 1),
        (r"<think>\boxed{1}</think> so it is", 0),
        (r"<think>hm \boxed{1}", 0),
        (r"<think>a</think><think>b</think> \boxed{1}", 0),
        (r"</think><think> \boxed{1}", 0),
        (r"a</think>b</think> \boxed{1}", 0),
        (r"\boxed{ }", 0),
        (r"\boxed{1", 0),
        ("42", 0),
    ],
)
def test_format(completion, good):
    assert format_reward(completion=completion, answer=None, n=1) == good


def balanced(text):
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


@given(st.text("ab{} ", max_size=8).filter(balanced), st.text("ab ", max_size=4), st.text("ab} ", max_size=4))
@example("", "", "")
def test_boxes_nest(inside, before, after):
    assert last_boxed(rf"{before}\boxed{{{inside}}}{after}") == inside
    assert final_answer(rf"{before}\boxed{{{inside}}}{after}") == inside.strip()
    assert last_boxed(rf"{before}\boxed{{{{{inside}}}{after.replace('}', '')}") is None


@pytest.mark.parametrize(
    ("completion", "answer", "right"),
    [
        (r"so $x = \boxed{\frac12}$", "0.5", 1),
        (r"\boxed{1 + x^2}", "x^2+1", 1),
        (r"\boxed{2\sqrt{3}}", r"\sqrt{12}", 1),
        ("The answer is 1,000.", "#### 1000", 1),
        ("so the answer is $\\frac{3}{6}$", "1/2", 1),
        (r"\boxed{7}", "8", 0),
        (r"\boxed{8} or \boxed{7}", "8", 0),
        ("I do not know", "8", 0),
        ("", "8", 0),
    ],
)
def test_math(completion, answer, right):
    got = load_rewards(["math"], tell=pytest.fail)(rows(answer), [completion])
    assert got["reward"].tolist() == [right]


def test_math_in_another_thread_and_without_an_alarm_of_its_own():
    got, rewards = [], load_rewards(["math"], 20)
    thread = threading.Thread(target=lambda: got.append(rewards(rows("7/9"), [r"\boxed{14/18}"])["reward"].tolist()))
    thread.start()
    thread.join()
    assert got == [[1.0]]

    def judged():
        rewards.functions[0].call(completion=r"\boxed{13/11}", answer="26/22")
        return signal.getitimer(signal.ITIMER_REAL)[0]

    assert within(20, judged) > 10


def test_math_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(UsageError, match=r"pip install 'grpo-prm\[train\]'"):
        load_rewards(["math"])


def test_math_with_an_answer_that_is_none():
    told = []
    got = load_rewards(["math"], tell=told.append)(rows(""), [r"\boxed{1}"])
    assert np.isnan(got["reward"]).all()
    assert "cannot be read as mathematics" in told[0]


@pytest.mark.parametrize("reward", ["math", "exact"])
def test_answers_are_needed(reward):
    with pytest.raises(
        UsageError, match=rf"--reward {reward} compares with .* are n, prompt, solution\. .*--answer-col"
    ):
        load_rewards([reward])(rows(None, solution="1"), ["1"])
