"""Rollouts saved from the page are those of the log, and are read like any other log."""

import json

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import expect
from polars.testing import assert_frame_equal
from report.pages import address, data_of, folder_of, log_of, page_of
from report.test_hostile import EVIL, NAME

from grpo_prm.analysis.folder import read_folder
from grpo_prm.logs import ReadOptions, fold

LOST = ("logprobs", "trainer_logprobs", "ref_logprobs")  # do not travel in the page


def saved(page, button, tmp_path):
    with page.expect_download() as loading:
        page.locator(button).click()
    file = tmp_path / "rollouts.jsonl"
    loading.value.save_as(file)
    return file


def kept(folder, *groups):
    """The rollouts of groups that the folder has, as they should come out of the page."""
    analysis = read_folder(folder)
    rows = pl.concat([analysis.samples.drop("kind"), analysis.texts.collect()]).filter(pl.col("group").is_in(groups))
    return rows.sort("group", "sample").drop(LOST)


def assert_saved(file, wanted):
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert all(set(line) == set(wanted.columns) for line in lines)
    found = pl.DataFrame(lines, schema=wanted.schema, orient="row")
    assert_frame_equal(found.sort("group", "sample"), wanted)


def test_the_open_group_comes_down_as_it_was_logged(chain, visit, tmp_path):
    group = data_of(chain)["trees"][3]["group"]
    page = visit(chain, address(chain, group))
    file = saved(page, "#download", tmp_path)
    wanted = kept(chain.parent, group)
    assert_saved(file, wanted)
    assert "8 completions of 1 group" in page.locator("#saved").inner_text()


def test_groups_that_the_filters_let_through_are_read_as_a_log(chain, visit, tmp_path):
    page = visit(chain, "#groups?step=16&show=suppressed")
    groups = [int(line.get_attribute("data-group")) for line in page.locator("#table tbody tr").all()]
    file = saved(page, "#download-all", tmp_path)
    wanted = kept(chain.parent, *groups)
    assert_saved(file, wanted)
    batch = fold([str(file)], ReadOptions(), lambda batches: pl.concat([batch.table for batch in batches]))
    assert batch["completion"].to_list() == wanted["completion"].to_list()
    assert batch["tokens"].to_list() == wanted["tokens"].to_list()


def test_hostile_texts_come_down_as_they_were(tmp_path, visit):
    rng = np.random.default_rng(0)
    rows = [
        {
            "group_id": f"g{g}",
            "prompt": EVIL[g] + NAME,
            "reward": float(rng.integers(0, 2)),
            "completion": EVIL[(g + s) % 8] * s,
        }
        for g in range(8)
        for s in range(4)
    ]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    file = saved(visit(path, "#groups"), "#download-all", tmp_path)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    keys = ("group_key", "prompt", "reward", "completion")
    found = [
        tuple(line[key] for key in keys) for line in sorted(lines, key=lambda line: (line["group"], line["sample"]))
    ]
    assert found == [(row["group_id"], row["prompt"], row["reward"], row["completion"]) for row in rows]


def test_masks_travel(tmp_path, visit):
    rng = np.random.default_rng(1)
    rows = [
        {
            "uid": "g",
            "response_ids": ids,
            "response_mask": rng.integers(0, 2, len(ids)).tolist(),
            "reward": float(s % 2),
        }
        for s, ids in enumerate(rng.integers(0, 3, (6, 9)).tolist())
    ]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    file = saved(visit(path, "#groups"), "#download", tmp_path)
    lines = {line["sample"]: line for line in map(json.loads, file.read_text().splitlines())}
    for sample, row in enumerate(rows):
        assert lines[sample]["tokens"] == row["response_ids"]
        assert lines[sample]["mask"] == [bool(one) for one in row["response_mask"]]


@pytest.mark.parametrize("button", ["#copy", "#copy-all"])
def test_a_copy_is_the_download(chain, visit, tmp_path, button):
    page = visit(chain, "#groups?step=16&show=suppressed", alone=True)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    wanted = saved(page, button.replace("copy", "download"), tmp_path).read_text(encoding="utf-8")
    page.locator(button).click()
    expect(page.locator("#saved")).to_contain_text("copied as JSON lines")
    assert page.evaluate("navigator.clipboard.readText()").replace("\r\n", "\n") == wanted
