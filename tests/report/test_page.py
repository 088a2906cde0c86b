"""The page in a browser: every control is used, and what it shows is counted a second way."""

import polars as pl
import pytest
from playwright.sync_api import expect
from report.pages import data_of, folder_of, log_of, page_of


@pytest.fixture(scope="module")
def groups(chain):
    return pl.read_parquet(chain.parent / "groups.parquet")


def cells(page, column):
    """The text of one column of the table, by the start of its head."""
    heads = page.locator("#table thead th").all_inner_texts()
    at = next(n for n, head in enumerate(heads) if head.lower().startswith(column))
    return [row.locator("th, td").nth(at).inner_text() for row in page.locator("#table tbody tr").all()]


def test_the_table_is_sorted_and_says_how(chain, visit, groups):
    page = visit(chain)
    assert page.locator("th[aria-sort]").inner_text().startswith("suppressed-good")
    shown = [int(cell) for cell in cells(page, "suppressed")]
    assert shown == groups["suppressed_good_tokens"].sort(descending=True).head(25).to_list()
    head = page.locator("#table thead button", has_text="mean reward")
    for order, descending in (("descending", True), ("ascending", False)):
        head.click()
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == order
        rewards = groups["reward_mean"].sort(descending=descending).head(25).to_list()
        assert [float(cell) for cell in cells(page, "mean")] == pytest.approx(rewards, rel=5e-3)
    for _ in range(6):
        page.locator("#after").click()
    assert page.locator("#page").inner_text() == "page 7 of 7" and page.locator("#after").is_disabled()
    assert len(cells(page, "group")) == len(groups) - 150
    page.locator("#before").click()
    assert page.locator("#page").inner_text() == "page 6 of 7"


def test_the_bars_of_the_histogram_select_groups_by_mouse_and_by_keyboard(chain, visit, groups):
    page = visit(chain)
    counts = dict(groups["reward_mean"].value_counts().sort("reward_mean").iter_rows())
    bars = page.locator("#histogram button")
    assert [int(text) for text in bars.locator(".count").all_inner_texts()] == list(counts.values())
    assert [bar.get_attribute("aria-pressed") for bar in bars.all()] == ["false"] * len(counts)
    bars.nth(2).click()
    assert page.locator("#found").inner_text().startswith(f"{list(counts.values())[2]} of 160 groups")
    assert set(cells(page, "mean")) == {str(list(counts)[2])}
    bars.nth(3).focus()
    page.keyboard.press("Space")
    assert bars.nth(3).get_attribute("aria-pressed") == "true"
    both = list(counts.values())[2] + list(counts.values())[3]
    assert page.locator("#found").inner_text().startswith(f"{both} of")
    page.keyboard.press("Enter")
    assert bars.nth(3).get_attribute("aria-pressed") == "false"
    page.locator("#clear").click()
    assert page.locator("#found").inner_text().startswith("160 of 160")


def test_search_and_choice_of_groups(chain, visit, groups):
    page = visit(chain)
    page.locator("#search").fill("P080")
    wanted = [key for key in groups["group_key"] if "p080" in key]
    assert sorted(cells(page, "group")) == sorted(wanted) and wanted
    page.locator("#search").fill("0*9")
    wanted = groups.filter(pl.col("prompt_key").str.contains("0*9", literal=True))
    assert len(cells(page, "group")) == len(wanted) > 0
    page.locator("#search").fill("no group is called so")
    assert page.locator("#found").inner_text().startswith("0 of 160")
    page.locator("#clear").click()
    for choice, count in (
        ("text", pl.read_parquet(chain.parent / "samples.parquet")["group"].n_unique()),
        ("suppressed", (groups["suppressed_good_tokens"] > 0).sum()),
        ("mixed", (~groups["zero_variance"]).sum()),
    ):
        page.locator("#which").select_option(choice)
        assert page.locator("#found").inner_text().startswith(f"{count} of")


def test_the_slider_filters_and_the_charts_say_the_step(chain, visit, groups):
    page = visit(chain)
    slider = page.locator("#slider")
    assert page.locator("#slider-says").inner_text() == "all steps"
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.locator("#slider-says").inner_text() == "step 40" and "step=40" in page.url
    assert slider.get_attribute("aria-valuetext") == "step 40"
    assert set(cells(page, "step")) == {"40"} and len(cells(page, "step")) == (groups["step"] == 40).sum()
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
    assert here.get_attribute("visibility") == "hidden" and "160 of 160" in page.locator("#found").inner_text()


def test_a_click_on_a_chart_chooses_the_nearest_step(chain, visit):
    page = visit(chain)
    picture = page.locator(".chart svg").first
    size = picture.bounding_box()
    picture.click(position={"x": size["width"] * (40 + 252 * 17 / 56) / 300, "y": size["height"] / 2})
    assert page.locator("#slider-says").inner_text() == "step 16"


def test_histogram_and_step_work_together(chain, visit, groups):
    page = visit(chain, "#step=24")
    here = groups.filter(step=24)["reward_mean"].value_counts()
    shown = {
        float(bar.get_attribute("data-range")): int(bar.locator(".count").inner_text() or 0)
        for bar in page.locator("#histogram button").all()
    }
    assert {value: count for value, count in shown.items() if count} == dict(here.iter_rows())


def test_a_row_opens_its_tree_and_going_back_closes_it(chain, visit):
    page = visit(chain)
    first = page.locator("#pick").input_value()
    with_text = page.locator("#table .has-text")
    other = with_text.nth(2)
    key = other.inner_text()
    other.click()
    assert page.locator("#facts dd").first.inner_text() == key
    assert page.locator("#pick").input_value() != first and "group=" in page.url
    page.go_back()
    expect(page.locator("#pick")).to_have_value(first)


def test_a_group_without_text_shows_its_numbers(chain, visit, groups):
    texts = pl.read_parquet(chain.parent / "samples.parquet")["group"].unique()
    row = groups.filter(~pl.col("group").is_in(texts.implode())).row(0, named=True)
    page = visit(chain, f"#group={row['group']}")
    facts = page.locator("#facts").inner_text()
    assert row["group_key"] in facts and "not in this page" in facts and f"{row['step']}:{row['group_key']}" in facts
    assert f"{row['suppressed_good_tokens']} of {row['good_tokens']}" in facts
    assert not page.locator("#view").is_visible() and not page.locator("#aligned").is_visible()


def test_an_address_opens_what_it_names(chain, visit):
    group = data_of(chain)["trees"][3]["group"]
    page = visit(chain, f"#group={group}&process=2&completion=5&step=8")
    assert page.locator("#pick").input_value() == str(group) and page.locator("#along").input_value() == "5"
    assert page.locator("#step-2").get_attribute("aria-selected") == "true"
    assert page.locator("#slider-says").inner_text() == "step 8"


@pytest.mark.parametrize(
    "address", ["#group=999999", "#group=x&process=-4", "#process=4000&completion=77", "#step=5", "#figures"]
)
def test_an_address_of_nothing_does_no_harm(chain, visit, address):
    page = visit(chain, address)
    assert page.locator("#table tbody tr").count() == (0 if address == "#step=5" else 25)


def test_light_and_dark(chain, visit):
    paper = "getComputedStyle(document.body).backgroundColor"
    dark, light = visit(chain, scheme="dark"), visit(chain, scheme="light")
    assert dark.evaluate(paper) != light.evaluate(paper)
    button = light.locator("#theme")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true" and light.evaluate(paper) == dark.evaluate(paper)
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
    page = visit(page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm")))
    assert not page.locator("#trend").is_visible() and "no rewards" in page.locator("#histogram-block").inner_text()
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
    page = visit(page_of(folder_of([str(path) for path in paths], tmp_path / "both.prm")))
    assert page.locator("#legend span").all_inner_texts()[:2] == ["one", "two"]
    assert set(cells(page, "run")) == {"one", "two"}
    page.locator("#search").fill("two")
    assert set(cells(page, "run")) == {"two"}
