"""A column that is not there, or cannot be guessed, is named with the option that may be meant."""

from logs.log_files import groups, read_log
from logs.test_bad_input import ANSWER, GOOD, refused

from grpo_prm.errors import UsageError

IDS = "for a column of token ids write tokens in place of completion"


def test_a_column_map_that_names_an_absent_column(tmp_path):
    message = refused(tmp_path, UsageError, lambda: read_log(tmp_path, GOOD, columns={"reward": "rewrad"}))
    assert message == (
        "TMP/log.jsonl: --columns reward=rewrad: there is no column rewrad; there are step, group, tokens, reward."
        " Did you mean reward?"
    )
    message = refused(tmp_path, UsageError, lambda: read_log(tmp_path, GOOD, columns={"rewards": "reward"}))
    assert message.startswith("--columns rewards: no such canonical column. There are run, step, group,")
    message = refused(tmp_path, UsageError, lambda: read_log(tmp_path, GOOD, keep=("level",)))
    assert "--keep level: there is no column level" in message
    message = refused(tmp_path, UsageError, lambda: read_log(tmp_path, GOOD, reward="short+has_e"))
    assert "--reward short+has_e: there is no column short" in message


def test_columns_that_cannot_be_guessed_are_refused_with_the_option_that_may_be_meant(tmp_path):
    def refusal(*rows):
        return refused(tmp_path, UsageError, lambda: read_log(tmp_path, rows)).removeprefix("TMP/log.jsonl: ")

    assert refusal({"group": 1, "reward": 1, "level": 7}) == (
        f"no column holds completions; there are group, reward, level. Name it with --columns completion=NAME; {IDS}."
    )
    assert refusal({"group": 1, "said": "x", "level": 7, "is_right": True}) == (
        "no column holds completions or the reward; there are group, said, level, is_right."
        f" Perhaps it is --columns completion=NAME,reward=is_right; {IDS}."  # one row says little
    )
    assert refusal({"group": 1, "reward": 1, "model": "m", "chat": ANSWER}).endswith(
        f"Perhaps it is --columns completion=chat; {IDS}."
    )
    assert refusal({"q": "1 + 1?", "ys": ["it is 2", "3"], "n": 2, "more": [{"won": 1}, {"won": 0}]}).endswith(
        f"Perhaps it is --columns completion=ys,reward=more.won; {IDS}."
    )
    assert refusal({"group": 1, "text": "x", "points": 1}) == (
        "no column holds the reward; there are group, text, points."
        " Name it with --columns reward=NAME, or a weighted sum with --reward."
    )
    assert refusal({"group": 1, "text": "x", "rewards": {"right": 1, "short": 0}}) == (
        'the log has reward parts right, short and no total. Name the reward, --reward "right+short", with the weights'
        ' of the run if it has some, --reward "right+0.5*short".'
    )
    assert refusal({"text": "x", "reward": 1}) == (
        "neither a group key nor a prompt tells the groups apart; there are text, reward."
        " Name it with --columns group=NAME."
    )
    assert refusal(*({"text": "x", "reward": 1, "task": t} for t in "aabb")).endswith(
        "there are text, reward, task. Perhaps it is --columns group=task."
    )


def test_all_columns_that_are_missing_are_named_at_once(tmp_path):
    def refusal(*rows, **options):
        return refused(tmp_path, UsageError, lambda: read_log(tmp_path, rows, **options)).removeprefix(
            "TMP/log.jsonl: "
        )

    names = {"said": "x", "right": 1, "task": 1}
    some = [{"said": f"it is {t + i}", "right": i % 2, "task": t} for t in (1, 2, 3) for i in range(4)]
    assert refusal(*some) == (
        "no column holds completions, the reward or what tells the groups apart; there are said, right, task."
        f" Perhaps it is --columns completion=said,reward=right,group=task; {IDS}."
    )
    mapping = {"completion": "said", "reward": "right", "group": "task"}
    assert groups(read_log(tmp_path, some, columns=mapping))  # and that is right
    assert refusal({"n": 1}) == (
        "no column holds completions, the reward or what tells the groups apart; there are n."
        f" Name them with --columns completion=NAME,reward=NAME,group=NAME; {IDS}."
    )
    assert refusal(names, columns={"completion": "said"}) == (
        "no column holds the reward or what tells the groups apart; there are said, right, task."
        " Perhaps it is --columns reward=right,group=NAME, or a weighted sum with --reward."
    )
    assert "holds completions or what tells the groups apart; there" in refusal(names, reward="right")


def test_columns_that_are_something_else_are_not_suggested(tmp_path):
    def refusal(*rows):
        return refused(tmp_path, UsageError, lambda: read_log(tmp_path, rows))

    some = [{"uuid": f"{g}-{i:032}", "said": f"yes, {g * i}", "level": 7, "won": i % 2, "epoch": g // 2, "item": g}
            for g in range(4) for i in range(4)]  # fmt: skip
    assert "completion=said,reward=won,group=item;" in refusal(*some)
    assert "reward=NAME" in refusal(*({k: v for k, v in row.items() if k != "won"} for row in some))
    pairs = [{"text": "yes", "reward": i % 2} for i in range(4)]
    assert "--columns group=NAME" in refusal(*pairs)  # not the reward, not the completion
    assert "completion=ys,reward=NAME;" in refusal({"ys": ["a", "b"], "is_truncated": [True, False]})


def test_the_option_that_may_be_meant_is_right(tmp_path):
    rows = [{"q": q, "ys": ["it is 2", "3"], "more": [{"ok": 1}, {"ok": 0}], "idx": n} for n, q in enumerate("ab")]
    got = read_log(tmp_path, rows, columns={"completion": "ys", "reward": "more.ok"})
    assert got.table["reward"].to_list() == [1, 0, 1, 0] and got.table["group"].to_list() == [0, 0, 1, 1]


def test_completions_in_lists_within_lists_are_refused(tmp_path):
    rows = [{"name": "a", "sets": [{"results": [{"completions": [{"answer": "x", "score": 1}]}]}]}]
    assert refused(tmp_path, UsageError, lambda: read_log(tmp_path, rows)) == (
        "TMP/log.jsonl: the completions seem to stand under sets.results.completions, in lists within lists, which"
        " cannot be read yet. Write one JSON object per line, with completion, reward and group."
    )


def test_lists_of_one_are_no_groups(tmp_path):
    rows = [{"token_ids": [[1, n]], "rewards": [n], "idx": n} for n in range(4)]
    message = refused(tmp_path, UsageError, lambda: read_log(tmp_path, rows))
    assert "neither a group key nor a prompt tells the groups apart" in message
    rows = [{"token_ids": [[1, n]], "rewards": [n], "task_id": n // 2} for n in range(4)]
    assert groups(read_log(tmp_path, rows)) == {
        ("log", None, "0"): [[1, 0], [1, 1]], ("log", None, "1"): [[1, 2], [1, 3]],
    }  # fmt: skip
