"""The page in a browser: every control is used, and what it shows is counted a second way."""

import re

import polars as pl
import pytest
from report.pages import folder_of, log_of, page_of


@pytest.fixture(scope="module")
def groups(chain):
    return pl.read_parquet(chain.parent / "groups.parquet")


def cells(page, column):
    """The text of one column of the table, by the start of its head; one that has no room is asked for."""
    if not page.locator("#table thead button", has_text=re.compile(f"^{column}", re.IGNORECASE)).count():
        page.locator("#every-column").click()
    heads = page.locator("#table thead th").all_inner_texts()
    at = next(n for n, head in enumerate(heads) if head.lower().startswith(column))
    return [row.locator("th, td").nth(at).inner_text() for row in page.locator("#table tbody tr").all()]


def names(page):
    return page.locator("#table tbody button").all_inner_texts()


def found(page):
    return int(page.locator("#found").inner_text().split(" ")[0])


def test_the_table_is_sorted_and_says_how(chain, visit, groups):
    page = visit(chain, "#groups")
    assert page.locator("th[aria-sort]").inner_text().startswith("suppressed-good")
    shown = [int(cell) for cell in cells(page, "suppressed")]
    assert shown == groups["suppressed_good_tokens"].sort(descending=True).head(50).to_list()
    head = page.locator("#table thead button", has_text="mean reward")
    for order, descending in (("descending", True), ("ascending", False)):
        head.click()
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == order
        rewards = groups["reward_mean"].sort(descending=descending).head(50).to_list()
        assert [float(cell) for cell in cells(page, "mean")] == pytest.approx(rewards, rel=5e-3)
    for _ in range(3):
        page.locator("#after").click()
    assert page.locator("#page").inner_text() == "4 of 4" and page.locator("#after").is_disabled()
    assert len(names(page)) == len(groups) - 150
    page.locator("#before").click()
    assert page.locator("#page").inner_text() == "3 of 4"


def test_the_bars_of_the_histogram_choose_a_range_by_mouse_and_by_keyboard(chain, visit, groups):
    page = visit(chain, "#groups")
    page.locator("summary", has_text="More filters").click()
    values, counts = zip(*groups["reward_mean"].value_counts().sort("reward_mean").iter_rows(), strict=True)
    bars = page.locator("#histogram button")
    said = [bar.get_attribute("aria-label") for bar in bars.all()]
    assert [int(text.split(": ")[1].split(" ")[0]) for text in said] == list(counts)
    bars.nth(2).click()
    assert found(page) == counts[2] and set(cells(page, "mean")) == {str(values[2])}
    bars.nth(4).focus()
    page.keyboard.press("Space")
    pressed = [bar.get_attribute("aria-pressed") for bar in bars.all()]
    assert pressed == ["true" if 2 <= n <= 4 else "false" for n in range(len(counts))]
    assert found(page) == sum(counts[2:5]) and page.locator("#reward-to").input_value() == str(values[4])
    page.locator("#reward-from").fill(str(values[3]))
    page.keyboard.press("Enter")
    assert found(page) == sum(counts[3:5])
    page.locator("#clear").click()
    assert found(page) == 160 and page.locator("#clear").is_disabled()


def test_filters_work_together_and_stand_in_the_address(chain, visit, groups):
    page = visit(chain, "#groups")
    for choice, wanted in (
        ("suppressed", groups["suppressed_good_tokens"] > 0),
        ("boosted", groups["boosted_bad_tokens"] > 0),
        ("mixed", ~groups["zero_variance"]),
    ):
        page.locator("#which").select_option(choice)
        assert found(page) == wanted.sum()
    page.locator("summary", has_text="More filters").click()
    page.locator("#of-step").select_option("8")
    page.locator("#length-to").fill("20")
    page.keyboard.press("Enter")
    wanted = groups.filter(~pl.col("zero_variance"), pl.col("step") == 8, pl.col("tokens") <= 20 * pl.col("k"))
    assert 0 < found(page) == len(wanted) < 20
    assert "step" in page.locator("#more-says").inner_text() and "length" in page.locator("#more-says").inner_text()
    again = visit(chain, "#" + page.url.partition("#")[2])
    assert found(again) == len(wanted) and again.locator("#which").input_value() == "mixed"
    page.locator("#clear").click()
    assert found(page) == 160 and "?" not in page.url


@pytest.mark.parametrize("regex", [False, True])
def test_prompts_and_completions_are_searched_and_hits_are_marked(chain, visit, regex):
    kept = [pl.read_parquet(chain.parent / f"{name}.parquet") for name in ("samples", "texts")]
    rows = pl.concat([table.select("group", "prompt", "completion") for table in kept])
    pattern = re.compile(r"[3-5]\*\d=9" if regex else re.escape("*9="), re.IGNORECASE)
    hits = {}
    for (group,), table in rows.group_by("group"):
        texts = [table["prompt"][0], *table["completion"]]
        if count := sum(len(pattern.findall(text)) for text in texts):
            hits[group] = count
    assert 5 < len(hits) < 150
    page = visit(chain, "#groups")
    if regex:
        page.locator("#regex").check()
    page.locator("#search").fill(r"[3-5]\*\d=9" if regex else "*9=")
    said = page.locator("#search-says", has_text=f"{sum(hits.values()):,} hits in {len(hits)} groups")
    said.wait_for()
    assert found(page) == len(hits)
    page.locator("#table thead button", has_text="hits").click()
    assert [int(cell) for cell in cells(page, "hits")] == sorted(hits.values(), reverse=True)[:50]
    page.locator("#table tbody button").first.click()
    page.wait_for_function("() => CSS.highlights.get('hit')?.size > 0")
    page.wait_for_timeout(200)
    marked = set(page.evaluate("[...CSS.highlights.get('hit')].map(String)"))
    assert marked and all(pattern.fullmatch(text) for text in marked)
    page.locator("#clear").click()
    page.wait_for_function("() => !CSS.highlights.has('hit')")
    assert found(page) == 160


def test_names_are_searched_and_a_wrong_expression_is_said(chain, visit):
    page = visit(chain, "#groups?query=48%3Ap09")
    page.locator("#search-says", has_text="searched").wait_for(state="hidden")  # until all texts have been
    page.locator("#search-says", has_text="hits").wait_for()
    page.wait_for_function("() => !document.querySelector('#table tbody').textContent.includes('40:p0802')")
    assert names(page) and all(name.startswith("48:p09") for name in names(page))
    page.locator("#search").fill("(")
    page.locator("#search-says", has_text="hit").wait_for()
    page.locator("#regex").check()
    page.locator("#search-says", has_text="Not a regular expression: ").wait_for()
    assert page.locator("#search").get_attribute("aria-invalid") == "true" and found(page) == 160
    page.locator("#search").fill("no group has this")
    page.locator("#search-says", has_text="0 hits").wait_for()
    assert found(page) == 0


def test_the_slider_filters_and_the_charts_say_the_step(chain, visit, groups):
    page = visit(chain, "#trend")
    slider = page.locator("#slider")
    assert page.locator("#slider-says").inner_text() == "all steps"
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.locator("#slider-says").inner_text() == "step 40" and "step=40" in page.url
    assert slider.get_attribute("aria-valuetext") == "step 40"
    page.locator(".top a[data-tab=groups]").click()
    assert set(cells(page, "step")) == {"40"} and len(cells(page, "step")) == (groups["step"] == 40).sum()
    page.go_back()
    training = pl.read_parquet(chain.parent / "training.parquet").filter(step=40, statistic="reward")
    says = page.locator(".chart").first.locator(".says").inner_text()
    mean, low, high = training.select("mean", "low", "high").row(0)
    assert says == f"{mean:.3g} [{low:.3g}, {high:.3g}]"
    fills = page.locator(".chart polyline").evaluate_all("all => all.map((line) => getComputedStyle(line).fill)")
    assert set(fills) == {"none"} and len(fills) >= 8
    here = page.locator(".chart .here").first
    assert here.get_attribute("visibility") == "visible"
    line = page.locator(".chart").first.locator("polyline").last.get_attribute("points").split()
    assert float(here.get_attribute("x1")) == pytest.approx(float(line[5].split(",")[0]))
    page.locator("#slider-all").click()
    assert here.get_attribute("visibility") == "hidden" and "step=" not in page.url


def test_a_click_on_a_chart_chooses_the_nearest_step(chain, visit):
    page = visit(chain, "#trend")
    picture = page.locator(".chart svg").first
    size = picture.bounding_box()
    picture.click(position={"x": size["width"] * (46 + 242 * 17 / 56) / 300, "y": size["height"] / 2})
    assert page.locator("#slider-says").inner_text() == "step 16"


def test_histogram_and_step_work_together(chain, visit, groups):
    page = visit(chain, "#groups?step=24")
    here = groups.filter(step=24)["reward_mean"].value_counts()
    labels = [
        bar.get_attribute("aria-label").removeprefix("mean reward ") for bar in page.locator("#histogram button").all()
    ]
    shown = {float(value): int(count.split(" ")[0]) for value, count in (label.split(": ") for label in labels)}
    assert {value: count for value, count in shown.items() if count} == dict(here.iter_rows())


def test_light_and_dark(chain, visit):
    paper = "getComputedStyle(document.body).backgroundColor"
    dark, light = visit(chain, "#groups", scheme="dark"), visit(chain, "#groups", scheme="light")
    assert dark.evaluate(paper) != light.evaluate(paper)
    button = light.locator("#theme")
    assert button.inner_text() == "Dark" and dark.locator("#theme").inner_text() == "Light"
    button.click()
    assert button.inner_text() == "Light" and light.evaluate(paper) == dark.evaluate(paper)
    colour = "getComputedStyle(document.querySelector('#step-1')).backgroundColor"
    before = light.evaluate(colour)
    button.click()
    assert light.evaluate(colour) == before and light.evaluate(paper) != dark.evaluate(paper)


def test_a_log_of_one_step_without_rewards_or_text(tmp_path, visit):
    rows = [
        {"uid": f"g{g}", "response_ids": [1, 2, 3 + s % 3, s], "advantage": [1.0, -1.0, 0.5, -0.5][s], "step": 3}
        for g in range(3)
        for s in range(4)
    ]
    page = visit(page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm")), "#groups")
    assert (
        not page.locator("#to-trend").is_visible() and "no rewards" in page.locator("#histogram-block").text_content()
    )
    assert "token ids" in page.locator("#facts").inner_text()
    page.locator("[role=treeitem]").first.click(position={"x": 3, "y": 3})
    assert page.locator("#panel pre").inner_text() == "1 2" and "R(λ)\n\u2013" in page.locator("#panel").inner_text()


def test_several_runs_have_a_legend_and_a_column(tmp_path, visit):
    rows = [
        {"run": run, "uid": f"{step}-{g}", "completion": f"a b {s} {g}", "reward": float(s > 1), "step": step}
        for run in ("one", "two")
        for step in range(3)
        for g in range(4)
        for s in range(4)
    ]
    paths = [log_of(tmp_path / f"{run}.jsonl", [row for row in rows if row["run"] == run]) for run in ("one", "two")]
    page = visit(page_of(folder_of([str(path) for path in paths], tmp_path / "both.prm")), "#trend")
    assert page.locator("#legend span").all_inner_texts()[:2] == ["one", "two"]
    page.locator(".top a[data-tab=groups]").click()
    assert set(cells(page, "run")) == {"one", "two"} and names(page)[0].startswith(("one:", "two:"))
    page.locator("summary", has_text="More filters").click()
    page.locator("#of-run").select_option("two")
    assert set(cells(page, "run")) == {"two"}
    page.locator("#table tbody button").first.click()
    assert page.url.partition("#")[2].startswith("two:")
