"""Token view, word diff and reward against length in a browser: what is shown, counted from the log itself."""

import math
import re
from os.path import commonprefix  # of any sequences, in spite of its module

import pytest
from made_tokenizers import byte_level
from report.pages import folder_of, log_of, page_of

from grpo_prm.analysis.folder import read_folder

TEXTS = ["ab <b>ab</b> a 😀", "ab <b>ba", "ab <i>onerror=alert(1)</i>", "ab <b>ab</b> b"]
REWARDS = [1.0, 0.0, 0.5, 0.0]


def logprob(sample, t):
    return -round(0.05 + 0.37 * t + 0.01 * sample, 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A log with ids, log-probabilities of sampler and trainer and masked tokens, its tokenizer, and the page."""
    out = tmp_path_factory.mktemp("tokens")
    tokenizer = byte_level()
    tokenizer.save(str(out / "tokenizer.json"))
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    rows = [
        {
            "uid": f"g{g}", "response_ids": ids[s], "completion": TEXTS[s], "reward": REWARDS[s],
            "logprobs": [logprob(s, t) for t in range(len(ids[s]))],
            "trainer_logprobs": [logprob(s, t) + (0.25 if t % 2 else -0.5) for t in range(len(ids[s]))],
            "response_mask": [int(t != 4) for t in range(len(ids[s]))],
        }
        for g in range(2)
        for s in range(4)
    ]  # fmt: skip
    folder = folder_of(log_of(out / "log.jsonl", rows), out / "log.prm")
    with_borders = page_of(folder, tokenizer=str(out / "tokenizer.json")).rename(out / "known.html")
    return with_borders, page_of(folder), tokenizer, ids, folder


def colour_by(page, measure):
    page.locator("#measure").select_option(measure)
    return page.locator("#whole .token")


def said(page, at):
    page.locator("#whole .token").nth(at).dispatch_event("pointerover")
    return page.locator("#token-says").inner_text()


def figure(value):
    return f"{value:.3g}".replace("-", "−")


def test_every_token_is_by_itself_and_together_they_are_the_completion(made, visit):
    path, _, tokenizer, ids, _ = made
    page = visit(path, "#groups")
    for sample in range(4):
        page.locator("#along").select_option(str(sample))
        shown = page.locator("#whole .token").all_inner_texts()
        assert page.locator("#whole .tokens").inner_text() == TEXTS[sample]
        assert len(shown) == len(ids[sample])
        ascii_tokens = [n for n, one in enumerate(ids[sample]) if tokenizer.decode([one]).isascii()]
        assert [shown[n] for n in ascii_tokens] == [tokenizer.decode([ids[sample][n]]) for n in ascii_tokens]
    assert page.locator("#whole b, #whole i").count() <= 1  # markup of the log is text; ours is the readout


def test_values_of_a_token_are_those_of_the_log(made, visit):
    path, _, _, ids, folder = made
    page = visit(path, "#groups")
    page.locator("#along").select_option("0")
    assert [o.get_attribute("value") for o in page.locator("#measure option").all()] == [
        "credit",
        "local",
        "surprisal",
        "gap",
    ]
    mean = sum(REWARDS) / 4
    deviation = math.sqrt(sum((r - mean) ** 2 for r in REWARDS) / 3) + 1e-4
    for t in (0, 3, 5, len(ids[0]) - 1):
        members = [s for s in range(4) if ids[s][: t + 1] == ids[0][: t + 1]]
        credit = (sum(REWARDS[s] for s in members) / len(members) - mean) / deviation
        words = said(page, t)
        assert words.startswith(f"token {t + 1} of {len(ids[0])}, shared by {len(members)} of 4")
        shown = "0" if abs(credit) < 1e-9 else f"{'+' if credit > 0 else '−'}{abs(credit):.3g}"
        assert f"credit A(λ) {shown}," in words
        surprisal = -logprob(0, t)
        assert f"surprisal {figure(surprisal)} (probability" in words
        assert words.endswith(f"sampler-trainer gap {'+0.25' if t % 2 else '−0.5'}")
    assert said(page, 4).endswith("out of the loss")
    steps = read_folder(folder).process_steps.collect()
    limit = page.locator("#whole .scale").inner_text()
    largest = steps.filter(steps["tokens"] > 0)["advantage"].abs().max()
    assert re.search(rf"pushed down −{largest:.3g}", limit) and f"+{largest:.3g} raised" in limit


def test_colours_follow_the_measure_and_masked_tokens_have_none(made, visit):
    page = visit(made[0], "#groups")
    page.locator("#along").select_option("0")
    paint = "all => all.map((e) => getComputedStyle(e).backgroundColor)"
    seen = {}
    for measure in ("credit", "local", "surprisal", "gap"):
        tokens = colour_by(page, measure)
        seen[measure] = tokens.evaluate_all(paint)
        assert "out" in tokens.nth(4).get_attribute("class").split()
        assert tokens.evaluate_all("all => all.filter((e) => e.classList.contains('out')).length") == 1
    assert len({tuple(colours) for colours in seen.values()}) == 4
    # Every token is less likely than the one before, so darker; up to where the scale ends.
    dark = [sum(map(int, re.findall(r"\d+", colour)[:3])) for n, colour in enumerate(seen["surprisal"]) if n != 4]
    assert dark == sorted(dark, reverse=True) and dark[0] > dark[-1]
    gap = seen["gap"]
    assert len({gap[n] for n in (1, 3, 5)}) == 1 and gap[0] != gap[1] == gap[3] and gap[0] == gap[2]


def test_by_keyboard_a_token_says_its_values(made, visit):
    page = visit(made[0], "#groups")
    page.locator("#along").select_option("1")
    page.locator("#whole .token[tabindex='0']").focus()
    assert page.locator("#token-says").inner_text().startswith("token 1 of")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#token-says").inner_text().startswith("token 3 of")
    page.keyboard.press("End")
    assert page.locator("#token-says").inner_text().startswith(f"token {len(made[3][1])} of")
    assert page.locator("#whole .token[tabindex='0']").count() == 1
    page.keyboard.press("Home")
    assert page.locator("#token-says").inner_text().startswith("token 1 of")


def test_without_borders_steps_have_their_mean_and_a_bar_for_each_token(made, visit):
    _, path, _, ids, _ = made
    page = visit(path, "#groups")
    page.locator("#along").select_option("0")
    assert "not known" in page.locator("#whole .quiet").first.inner_text()
    assert page.locator("#whole .tokens").inner_text() == TEXTS[0]
    assert page.locator("#whole .tick").count() == 0
    pieces = colour_by(page, "surprisal").count()
    ticks = page.locator("#whole .tick")
    assert pieces < len(ids[0])
    longer = [n for n in range(len(ids[0])) if page.locator(f"#whole .tick[data-token='{n}']").count()]
    assert ticks.count() == len(longer) > 4
    one = longer[-1]
    page.locator(f"#whole .tick[data-token='{one}']").dispatch_event("pointerover")
    assert f"token {one + 1} of {len(ids[0])}" in page.locator("#token-says").inner_text()
    assert f"surprisal {figure(-logprob(0, one))} (" in page.locator("#token-says").inner_text()
    words = said(page, pieces - 1)
    first, last = map(int, re.search(r"tokens (\d+) to (\d+) of", words).groups())
    inside = [-logprob(0, t) for t in range(first - 1, last) if t != 4]
    assert f"mean surprisal {figure(sum(inside) / len(inside))} (" in words


WORD = re.compile(r"\s+|[^\W]+|.", re.DOTALL)


def common(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_two_completions_word_by_word(made, visit):
    """Best and worst at first; the columns are the completions, and no comparison could keep more words."""
    path, _, _, ids, _ = made
    page = visit(path, "#groups")
    assert page.locator("#diff-left option:checked").inner_text() == "#0, reward 1"
    assert page.locator("#diff-right option:checked").inner_text() in ("#1, reward 0", "#3, reward 0")
    order = {o.inner_text().split(",")[0]: o.get_attribute("value") for o in page.locator("#diff-left option").all()}
    for left, right in ((0, 1), (0, 3), (2, 0), (1, 1)):
        page.locator("#diff-left").select_option(order[f"#{left}"])
        page.locator("#diff-right").select_option(order[f"#{right}"])
        shared = len(commonprefix([ids[left], ids[right]]))  # noqa: RUF071 - of ids
        fold = page.locator("#diff summary").inner_text()
        begun = page.locator("#diff details pre").text_content()
        assert fold == f"Both begin with the same {shared} tokens"
        columns = page.locator("#diff .pair pre")
        rest = [column.text_content() for column in columns.all()]
        assert begun + rest[0] == TEXTS[left] and begun + rest[1] == TEXTS[right]
        kept = [
            "".join(column.locator(".both").evaluate_all("all => all.map((e) => e.textContent)"))
            for column in columns.all()
        ]
        assert kept[0] == kept[1]
        assert len(WORD.findall(kept[0])) == common(*(WORD.findall(text) for text in rest))
        assert columns.nth(0).locator("mark.right").count() == columns.nth(1).locator("mark.left").count() == 0
    assert page.locator("#diff-says").inner_text() == "From there on they are equal."


def test_long_texts_that_differ_in_too_much_are_shown_without_marks(tmp_path, visit):
    rows = [
        {"uid": "g", "completion": " ".join(f"{'ab'[s]}{n}" for n in range(1200)), "reward": float(s)} for s in range(2)
    ]
    page = visit(page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm")), "#groups")
    assert "not compared word by word" in page.locator("#diff-says").inner_text()
    assert page.locator("#diff mark").count() == 0
    assert page.locator("#diff .pair pre").first.inner_text() == rows[1]["completion"]


def test_reward_against_length_has_a_dot_for_each_completion(made, visit):
    path, _, _, ids, _ = made
    page = visit(path, "#groups")
    dots = page.locator("#scatter-plot svg.scatter circle.of-group")
    titles = sorted(dots.locator("title").evaluate_all("all => all.map((e) => e.textContent)"))
    lengths = [len(one) - 1 for one in ids]
    assert titles == [f"#{s}: reward {REWARDS[s]:g}, {lengths[s]} tokens" for s in range(4)]
    places = dots.evaluate_all(
        "all => all.map((e) => [Number(e.getAttribute('cx')), Number(e.getAttribute('cy')), e.textContent])"
    )
    by_sample = {int(text[1]): (x, y) for x, y, text in places}
    assert sorted(range(4), key=lambda s: by_sample[s][0]) == sorted(range(4), key=lambda s: lengths[s])
    assert by_sample[0][1] < by_sample[2][1] < by_sample[1][1] == by_sample[3][1]
    mean_x, mean_y = sum(lengths) / 4, sum(REWARDS) / 4
    xy = sum((x - mean_x) * (y - mean_y) for x, y in zip(lengths, REWARDS, strict=True))
    r = xy / math.sqrt(sum((x - mean_x) ** 2 for x in lengths) * sum((y - mean_y) ** 2 for y in REWARDS))
    says = page.locator("#scatter-plot p").first.inner_text()
    shown = f"{'+' if r > 0 else '−'}{abs(r):.3g}"
    assert (
        says == f"Correlation of reward with length: {shown} in this group; {shown} over the 8 completions of the log."
    )
    dots.nth(0).click()
    assert page.locator("#along").input_value() == dots.nth(0).text_content()[1]
