"""The tree of a group and its completions side by side, against the completions themselves."""

import polars as pl
import pytest
from report.pages import data_of, folder_of, log_of, open_group, page_of


def box(page, n):
    return page.locator(f"#step-{n}")


def test_the_tree_has_the_sets_rewards_and_marks_of_a_brute_force_count(chain, visit):
    """Every label of every box, from the completions alone: sets of equal prefixes, means, signs."""
    page = visit(chain, "#groups")
    samples = pl.read_parquet(chain.parent / "samples.parquet")
    for group in [data_of(chain)["trees"][0]["group"], samples["group"][0]]:
        open_group(page, chain, group)
        rows = samples.filter(group=group).to_dicts()
        rewards = [row["reward"] for row in rows]
        mean = sum(rewards) / len(rewards)
        deviation = (sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1)) ** 0.5 + 1e-4
        wanted = {}
        for row in rows:
            for t in range(len(row["tokens"])):
                same = [n for n, other in enumerate(rows) if other["tokens"][: t + 1] == row["tokens"][: t + 1]]
                wanted.setdefault(tuple(same), set()).add(t)
        expected = []
        for same, positions in wanted.items():
            reward = sum(rewards[n] for n in same) / len(same)
            advantage = (reward - mean) / deviation
            good, bad = any(rewards[n] > mean for n in same), any(rewards[n] < mean for n in same)
            low, high = advantage < -1e-9, advantage > 1e-9
            mark = ", suppressed good" if low and good else ", boosted bad" if high and bad else ""
            sign = "+" if high else "−" if low else ""
            said = f"A {sign}{abs(advantage):.3g}" if sign else "A 0"
            tokens = f"{len(positions)} token{'' if len(positions) == 1 else 's'}"
            expected.append(f"{len(same)} of {len(rows)}, {said}, R {reward:.3g}, {tokens}{mark}: ")
        labels = [item.get_attribute("aria-label") for item in page.locator("[role=treeitem]").all()]
        labels = [label for label in labels if ", 0 tokens" not in label]
        assert sorted(label[: label.index(": ") + 2] for label in labels) == sorted(expected)


def test_a_click_shows_the_step_in_full(chain, visit):
    page = visit(chain, "#groups")
    tree = data_of(chain)["trees"][0]
    steps = pl.read_parquet(chain.parent / "process_steps.parquet").filter(group=tree["group"])
    for n in (1, len(steps) - 1):
        box(page, n).click(position={"x": 3, "y": 3})
        panel, step = page.locator("#panel"), steps.row(n, named=True)
        assert f"|λ| = {step['size']} of 8" in panel.inner_text()
        assert f"positions\n{step['start'] + 1} to {step['end']}" in panel.inner_text()
        assert f"{step['reward']:.3g} [{step['low']:.3g}, {step['high']:.3g}]" in panel.inner_text()
        assert panel.locator("pre").inner_text() == tree["texts"][n]
        assert panel.locator("tbody tr").count() == step["size"]
        members = tree["completions"]["sample"][step["first"] : step["first"] + step["size"]]
        assert panel.locator("tbody th").all_inner_texts() == [f"#{sample}" for sample in members]
        assert " ".join(map(str, tree["ids"][n])) in panel.inner_text()
        assert box(page, n).get_attribute("aria-selected") == "true"
        assert f"process={n}" in page.url or n == 1  # the step that a group opens with is not named
    assert page.locator("[aria-selected=true]").count() == 1


def test_the_texts_of_a_path_are_the_completion(chain, visit):
    page = visit(chain, "#groups")
    samples = pl.read_parquet(chain.parent / "samples.parquet")
    group = data_of(chain)["trees"][0]["group"]
    for row in samples.filter(group=group).iter_rows(named=True):
        page.locator("#along").select_option(str(row["sample"]))
        assert page.locator("#whole .text").inner_text() == row["completion"]
        path = page.locator("#canvas .on-path[role=treeitem]")
        assert (
            "".join(data_of(chain)["trees"][0]["texts"][int(b.get_attribute("id")[5:])] for b in path.all())
            == row["completion"]
        )
    page.locator("#along").select_option("")
    assert page.locator(".icicle.following").count() == 0
    # Without one that is followed the best stands there.
    best = samples.filter(group=group)["reward"].max()
    assert f"reward {best:g}, advantage" in page.locator("#whole h3").inner_text()


def test_boxes_are_as_high_as_members_and_as_wide_as_tokens(chain, visit):
    page = visit(chain, "#groups")
    steps = data_of(chain)["trees"][0]["steps"]
    page.locator("input[value=linear]").check()
    boxes = [box(page, n).bounding_box() for n in range(len(steps["size"]))]
    lengths = [end - start for start, end in zip(steps["start"], steps["end"], strict=True)]
    unit = boxes[0]["height"] / 8
    for n, place in enumerate(boxes):
        assert place["height"] == pytest.approx(steps["size"][n] * unit, abs=1.5)
        assert place["y"] - boxes[0]["y"] == pytest.approx(steps["first"][n] * unit, abs=1.5)
        if steps["parent"][n] >= 0:
            above = boxes[steps["parent"][n]]
            assert place["x"] == pytest.approx(above["x"] + above["width"], abs=2)
    wide = [n for n, place in enumerate(boxes) if place["width"] > 20]
    ratio = [(boxes[n]["width"] + 1) / lengths[n] for n in wide]
    assert max(ratio) == pytest.approx(min(ratio), rel=0.05) and len(wide) > 3
    assert min(place["width"] for n, place in enumerate(boxes) if lengths[n]) >= 13
    page.locator("input[value=sqrt]").check()
    boxes = [box(page, n).bounding_box() for n in range(len(lengths))]
    ratio = [(boxes[n]["width"] + 1) / lengths[n] ** 0.5 for n in range(len(lengths)) if boxes[n]["width"] > 20]
    assert max(ratio) == pytest.approx(min(ratio), rel=0.05)


def test_the_tree_by_keyboard_alone(chain, visit):
    page = visit(chain, "#groups")
    steps = data_of(chain)["trees"][0]["steps"]
    depth = []
    for parent in steps["parent"]:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    focused = lambda: int(page.evaluate("document.activeElement.id").removeprefix("step-"))  # noqa: E731
    children = lambda n: sorted((m for m, p in enumerate(steps["parent"]) if p == n), key=lambda m: steps["first"][m])  # noqa: E731
    assert page.locator("[role=treeitem][tabindex='0']").count() == 1
    page.locator("[role=treeitem][tabindex='0']").focus()
    page.keyboard.press("Home")
    assert focused() == 0
    page.keyboard.press("ArrowLeft")
    assert focused() == 0
    page.keyboard.press("ArrowRight")
    assert focused() == children(0)[0]
    page.keyboard.press("ArrowDown")
    level = sorted((n for n in range(len(depth)) if depth[n] == 1), key=lambda n: steps["first"][n])
    assert focused() == level[1]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert focused() == level[0]
    page.keyboard.press("ArrowLeft")
    assert focused() == 0
    page.keyboard.press("End")
    last = focused()
    assert steps["first"][last] + steps["size"][last] == 8 and not children(last)
    assert page.locator("[role=treeitem][tabindex='0']").get_attribute("id") == f"step-{last}"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "panel"
    page.keyboard.press("Escape")
    assert focused() == last
    page.keyboard.press("n")
    page.keyboard.press("]")
    order = data_of(chain)["trees"][0]["completions"]["sample"]
    assert page.locator("#along").input_value() == str(order[1])
    assert page.locator("#live").inner_text().startswith(f"Path of completion {order[1]}")
    page.keyboard.press("p")
    assert page.locator("#along").input_value() == str(order[0])


def test_breadcrumbs_lead_up(chain, visit):
    page = visit(chain, "#groups")
    steps = data_of(chain)["trees"][0]["steps"]
    deep = max(range(len(steps["start"])), key=lambda n: steps["start"][n])
    box(page, deep).click(position={"x": 3, "y": 3})
    crumbs = page.locator(".crumbs button")
    crumbs.last.click()
    assert box(page, steps["parent"][deep]).get_attribute("aria-selected") == "true"
    crumbs.first.click()
    assert box(page, 0).get_attribute("aria-selected") == "true" and page.locator(".crumbs button").count() == 0


def test_side_by_side_parts_where_the_completions_do(chain, visit):
    page = visit(chain, "#groups")
    tree = data_of(chain)["trees"][0]
    steps = tree["steps"]
    heads = page.locator("[role=columnheader]")
    assert heads.locator("button").all_inner_texts() == [f"#{sample}" for sample in tree["completions"]["sample"]]
    assert [
        f"reward {reward}" in head
        for reward, head in zip(tree["completions"]["reward"], heads.all_inner_texts(), strict=True)
    ] == [True] * 8
    lefts = [head.bounding_box()["x"] for head in heads.all()]
    wide = heads.first.bounding_box()["width"]
    cells = page.locator("#columns [role=cell]:not(.over)")
    shown = [n for n, (start, end) in enumerate(zip(steps["start"], steps["end"], strict=True)) if end > start]
    assert cells.count() == len(shown)
    seen = set()
    for cell in cells.all():
        first, spans = int(cell.get_attribute("data-first")), int(cell.get_attribute("aria-colspan"))
        text = cell.locator(".text").inner_text()
        n = next(
            n
            for n in shown
            if (steps["first"][n], steps["size"][n]) == (first, spans) and tree["texts"][n] == text and n not in seen
        )
        seen.add(n)
        place = cell.bounding_box()
        assert place["x"] == pytest.approx(lefts[first], abs=1.5) and place["width"] == pytest.approx(
            spans * wide, abs=3
        )
    heads.nth(2).locator("button").click()
    followed = page.locator("#columns [role=cell].on-path")
    assert [
        int(c.get_attribute("data-first")) <= 2 < int(c.get_attribute("data-first")) + int(c.get_attribute("data-size"))
        for c in followed.all()
    ] == [True] * followed.count()
    assert page.locator("#along").input_value() == str(tree["completions"]["sample"][2])
    page.locator("#unclipped").check()
    assert page.locator(".columns.unclipped").count() == 1


def test_copies_share_a_column_to_the_end_and_a_prefix_ends_above(tmp_path, visit):
    """Of five completions two are equal and one is the beginning of two others."""
    texts = [[1, 2], [1, 2], [1, 3, 4], [1, 3, 4, 5], [1, 3, 4, 6]]
    rows = [
        {"uid": f"g{g}", "response_ids": text, "reward": float(s)} for g in range(2) for s, text in enumerate(texts)
    ]
    page = visit(page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm")), "#groups")
    assert page.locator("[role=columnheader] button").all_inner_texts() == ["#0", "#1", "#2", "#3", "#4"]
    cells = page.locator("#columns [role=cell]")
    places = [
        tuple(int(cell.get_attribute(name)) for name in ("aria-colindex", "aria-colspan", "aria-rowspan"))
        for cell in cells.all()
    ]
    assert places == [(1, 5, 1), (1, 2, 2), (3, 3, 1), (3, 1, 1), (4, 1, 1), (5, 1, 1)]
    assert [cell.inner_text() for cell in page.locator("#columns .over").all()] == ["ended above"]


def test_steps_out_of_the_loss_have_no_advantage(tmp_path, visit):
    """Tokens 7 to 9 are a tool's answer, at which the completions part: GRPO gives it nothing, whatever its members."""
    rows = [
        {"uid": f"g{g}", "response_ids": [1, 7 + s // 2, 9, s, 4], "response_mask": [1, 0, 0, 1, 1], "reward": reward}
        for g in range(2)
        for s, reward in enumerate([1.0, 0.0, 0.0, 0.0])
    ]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    steps = data_of(path)["trees"][0]["steps"]
    assert steps["tokens"] == [4, 0, 2, 2, 0, 2, 2]
    page = visit(path, "#groups")
    for n, tokens in enumerate(steps["tokens"]):
        box(page, n).click(position={"x": 3, "y": 3})
        facts = page.locator("#panel dl").inner_text()
        assert ("none: out of the loss" in facts) == ("0 of them in the loss" in facts) == (tokens == 0)
        assert ("out of the loss" in box(page, n).get_attribute("aria-label")) == (tokens == 0)
        assert f"in all members\n{tokens}" in facts
        paint = box(page, n).evaluate("e => getComputedStyle(e).backgroundColor")
        assert (paint == "rgb(205, 205, 205)") == (tokens == 0)
    assert "out of the loss" in page.locator("#colours").inner_text()
