"""The view of a training: what it shows of the events, on a terminal and in a pipe."""

import io

import grpo_prm_cli.train_view as train_view
from grpo_prm_cli.train_view import Lines, View
from rich.console import Console

from grpo_prm.train.events import Event

METRICS = {
    "reward": 0.5,
    "accuracy": 0.25,
    "kl": None,
    "entropy": 1.25,
    "intermediate_proportion": 0.125,
    "amplification": 2.5,
    "tokens_per_second": 12_345.6,
    "skipped": 0,
}


def seen(events, width=80):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, markup=False, highlight=False)
    view = View(console)
    for event in events:
        view.tell(event)
    console.print(view.render())
    plain = Console(file=io.StringIO(), width=width)
    plain.print(view.render())
    return plain.file.getvalue()


def steps(number_of, steps=20, **more):
    return [Event("step", n + 1, steps, {**METRICS, "reward": n / 10, **more}) for n in range(number_of)]


def test_the_table_shows_every_figure_that_is_there():
    text = seen([Event("start", 0, 20), Event("eval", 0, 20, {"accuracy": 0.1, "low": 0.05, "high": 0.2}), *steps(8)])
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert lines["reward"].split() == ["reward", "0.700", "▁▂▃▄▅▆▇█", "0.000", "to", "0.700"]
    assert "0.250" in lines["accuracy"] and "12,346" in lines["tokens/s"] and "KL" not in lines
    assert {"entropy", "intermediate proportion", "amplification"} <= set(lines)
    assert "held-out accuracy 0.100 [0.050, 0.200] after 0" in text
    assert "8 of 20" in text and "left" in text and "skipped" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_long_run_fits_eighty_columns():
    text = seen([Event("start", 0, 2000), *steps(200, 2000, tokens_per_second=123_456.0)])
    assert "…" not in text and all(len(line) <= 80 for line in text.splitlines())


def test_what_is_skipped_or_not_finite():
    text = seen([Event("start", 0, 20), *steps(3, skipped=2, kl=float("inf"))])
    assert "6 optimizer steps skipped" in text and "KL" not in text


def test_the_warm_start_moves_the_bar_and_then_training_does():
    assert "warm start" in seen([Event("warm", 30, 700)]) and "30 of 700" in seen([Event("warm", 30, 700)])
    after = seen([Event("warm", 700, 700), Event("start", 5, 20)])
    assert "5 of 20" in after and "warm" not in after
    assert "starting" in seen([])


def test_held_out_accuracy_is_shown_as_first_and_last():
    evals = [Event("eval", n, 20, {"accuracy": n / 10, "low": 0.0, "high": 1.0}) for n in (0, 2, 4)]
    assert "0.000 [0.000, 1.000] after 0, 0.400 [0.000, 1.000] after 4" in seen(evals)


def told(events, capsys, times=None, monkeypatch=None):
    lines = Lines()
    for n, event in enumerate(events):
        if times is not None:
            monkeypatch.setattr(train_view.time, "monotonic", lambda n=n: times[n])
        lines.tell(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_plain_lines_come_every_few_seconds_and_at_the_end(capsys, monkeypatch):
    lines = told(steps(20), capsys, [n * 3.0 for n in range(20)], monkeypatch)
    assert [line.split(":")[0] for line in lines] == [f"step {n}/20" for n in (1, 5, 9, 13, 17, 20)]
    assert lines[0] == (
        "step 1/20: reward 0.000, accuracy 0.250, entropy 1.250, intermediate proportion 0.125, tokens/s 12,346"
    )
    assert lines[1].endswith(", 0:45 left") and lines[4].endswith(", 0:09 left") and "left" not in lines[5]


def test_lines_of_a_run_that_goes_on_count_its_own_time(capsys, monkeypatch):
    lines = told(steps(20)[10:], capsys, [n * 10.0 for n in range(10)], monkeypatch)
    assert lines[1].startswith("step 12/20") and lines[1].endswith(", 1:20 left")


def test_other_events_as_lines(capsys, monkeypatch):
    events = [
        Event("warm", 1, 700),
        Event("warm", 2, 700),
        Event("warm", 90, 700),
        Event("note", text="a\x1bb\nc"),
        Event("eval", 3, 9, {"accuracy": 0.5, "low": 0.25, "high": 0.75}),
        Event("step", 9, 9, {"skipped": 1, "failed_rewards": 2}),
    ]
    assert told(events, capsys, [0.0, 5.0, 10.0, 10.5, 11.0, 30.0], monkeypatch) == [
        train_view.WARM,
        "warm start 90/700, 1:09 left",
        r"note: a\x1bb",
        "c",
        "step 3/9: held-out accuracy 0.500 [0.250, 0.750]",
        "step 9/9: 2 rewards failed, 1 optimizer step skipped (loss or gradient not finite)",
    ]


def test_a_pipe_gets_lines_and_a_terminal_the_table(capsys, monkeypatch):
    with train_view.watching() as watch:
        watch(Event("step", 1, 1, {"reward": 0.5}))
    assert capsys.readouterr().err == "step 1/1: reward 0.500\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with train_view.watching() as watch:
        watch(Event("note", text="odd \x1b[2J"))
        watch(Event("start", 0, 1))
        watch(Event("step", 1, 1, {"reward": 0.5}))
    err = capsys.readouterr().err
    assert r"note: odd \x1b[2J" in err and "\x1b[2J" not in err and "reward" in err and "1 of 1" in err
    monkeypatch.setenv("TERM", "dumb")
    with train_view.watching() as watch:
        watch(Event("step", 1, 1, {"reward": 0.5}))
    assert capsys.readouterr().err == "step 1/1: reward 0.500\n"
