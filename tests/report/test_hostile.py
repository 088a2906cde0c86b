"""Text of a log that would like to be markup, script, or the end of the page's data: it is shown and does nothing."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from report.pages import data_of, embedded, folder_of, log_of, page_of, text_of

TEMPLATES = Path(__file__).parents[2] / "grpo_prm" / "report" / "templates"
EVIL = [
    "</script><script>window.hurt = 1</script>",
    "<img src=x onerror='window.hurt = 2'><svg onload=window.hurt=3>",
    "]]></script><!--<script>window.hurt = 4",
    '"}]}</script>\u2028\u2029<iframe src="javascript:parent.hurt=5"></iframe>',
    "\u202e txet desrever \u2066\u2069\u200b\ufeff and a nul \x00, bell \x07, escape \x1b[31m, delete \x7f",
    "no lone surrogates \ufffd but a whole one \U0001f600 \\u003c &lt; &amp;lt;",
    "{{ 7 * 7 }} {% raw %} ${7*7} `${alert(1)}` javascript:alert(1)",
    "line\r\nbreaks\tand tabs\v\f and spaces\u00a0\u3000",
]
PRINTABLE = (TEMPLATES / "printable.js").read_text(encoding="utf-8")
NAME = "<b onmouseover=window.hurt=6>\"'`</title></style><script>window.hurt=7</script>\u202e"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Every text, prompt, key, run and column name is hostile."""
    out = tmp_path_factory.mktemp("hostile")
    rows = [
        {
            "run": NAME + str(run),
            "uid": f"{NAME}{step}{g}",
            "prompt": EVIL[g % len(EVIL)] + str(g),
            "completion": EVIL[0] + EVIL[(g + s // 2) % len(EVIL)] * (s + 1),
            "reward": float(s % 3 == g % 2),
            f"reward/{NAME}": float(s),
            "step": step,
        }
        for run in range(2)
        for step in range(2)
        for g in range(8)
        for s in range(4)
    ]
    paths = [
        log_of(out / f"\u202e<i>{n}.jsonl", [row for row in rows if row["run"].endswith(str(n))]) for n in range(2)
    ]
    bad = [{**rows[0], "reward": NAME}, {**rows[0], "completion": "\ud800"}, {**rows[0], "completion": "\udfff"}]
    paths.append(log_of(out / "2.jsonl", bad))
    return page_of(folder_of([str(path) for path in paths], out / "<script>window.hurt=8<.prm"), figures=True)


def shown(text):
    from grpo_prm.text.printable import printable

    return printable(text, newline="\n")


def unhurt(page):
    return page.evaluate("window.hurt") is None and page.locator("iframe, b[onmouseover], img[onerror]").count() == 0


def test_nothing_of_a_hostile_log_is_run_and_all_of_it_is_shown(hostile, visit):
    page = visit(hostile, "#groups")
    trees = {tree["group"]: tree for tree in data_of(hostile)["trees"]}
    assert unhurt(page) and len(trees) == 32
    for line in page.locator("#table tbody tr").all()[:6]:
        tree = trees[int(line.get_attribute("data-group"))]
        line.locator("button").click()
        line.and_(page.locator("[aria-current]")).wait_for()
        for row, sample in enumerate(tree["completions"]["sample"]):
            page.locator("#along").select_option(str(sample))
            steps = tree["steps"]
            path = [n for n, first in enumerate(steps["first"]) if first <= row < first + steps["size"][n]]
            assert page.locator("#whole .text").text_content() == shown("".join(tree["texts"][n] for n in path))
        page.locator("#panel pre").first.hover()
        for item in page.locator("[role=treeitem]").all()[:4]:
            item.hover(position={"x": 2, "y": 2})
    page.locator("#search").fill("</script>")
    page.locator("#search[aria-busy=false]").wait_for()
    page.locator("#table thead button").first.click()
    assert page.locator("#table tbody tr").count() and NAME[:-1] in page.locator("#table tbody").inner_text()
    page.go_back()
    assert unhurt(page)


def test_what_is_shown_is_the_text_made_printable(hostile, visit):
    """Control and format characters are escapes, as the terminal writes them; everything else is as in the log."""
    samples = pl.read_parquet(hostile.parent / "samples.parquet")
    assert all(any(evil[:5] in text for text in samples["completion"]) for evil in EVIL)
    texts = [
        *samples["completion"],
        NAME,
        *map(chr, range(0x250)),
        "\u2028",
        "\ue000",
        "\U000e0041",
        "\u0378",
        "\u200d",
    ]
    found = visit(hostile).evaluate(f"texts => {{ {PRINTABLE} return texts.map(printable); }}", texts)
    assert found == [shown(text) for text in texts]
    # What is not packed never has such a character.
    plain = json.dumps(embedded(text_of(hostile)), ensure_ascii=False)
    assert not {c for c in plain if c in "\u202e\u2066\u200b\x00\x1b\x7f\ufeff\ud800\udfff"}


def test_texts_travel_as_they_were_logged(hostile):
    samples = pl.read_parquet(hostile.parent / "samples.parquet")
    trees = {tree["group"]: tree for tree in data_of(hostile)["trees"]}
    for group, sample, completion in samples.select("group", "sample", "completion").iter_rows():
        tree = trees[group]
        row = tree["completions"]["sample"].index(sample)
        path = [n for n, first in enumerate(tree["steps"]["first"]) if first <= row < first + tree["steps"]["size"][n]]
        assert "".join(tree["texts"][n] for n in path) == completion


def test_what_the_readers_refuse_is_said(hostile, visit):
    said = visit(hostile).locator(".cautions").inner_text()
    assert "3 rows of 131" in said and "2 rows: completion: not Unicode (half of a surrogate pair)" in said


def test_the_markup_holds_no_character_of_the_log_that_could_be_markup(hostile):
    page = text_of(hostile)
    assert page.count("<script") == 2 and page.count("</script>") == 2 and page.count("<style>") == 1
    head = page.split("<script", 1)[0]
    assert page.count("</title>") == 1
    assert head.count("onmouseover=window") == head.count("&lt;b onmouseover=window")
    data = page.split('id="data">')[1].split("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(data)
    page.encode()  # no lone surrogate is left
    assert not set("\u202e\u2066\u200b\x00\x1b\x7f") & set(page)


def test_a_line_of_a_quarter_of_a_megabyte_is_cut_in_the_middle_and_says_so(tmp_path, visit, monkeypatch):
    monkeypatch.setattr("grpo_prm.report.page.BYTES", 486_000)
    long = "".join(f"<i>{n * 2654435761 % 2**64:x}</i>" for n in range(14_000))
    assert len(long) > 250_000
    rows = [{"uid": "g", "completion": f"{s} {long}", "reward": float(s % 2)} for s in range(3)]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    assert 380_000 < path.stat().st_size < 486_000 * 5 / 4.8  # the room is estimated: 4.8 for 5 MB
    page = visit(path, "#groups", width=400)
    tree = data_of(path)["trees"][0]
    page.locator("#step-2").click(position={"x": 3, "y": 3})
    head, missing, tail = tree["texts"][2]
    assert f"{missing:,} characters left out" in page.locator("#panel pre").inner_text()
    whole = next(row["completion"] for row in rows if row["completion"].startswith(head))
    assert whole.endswith(tail) and len(head) + missing + len(tail) == len(whole) and len(head) > 20_000
    assert "grpo-prm tree" in page.locator("#panel").inner_text() and "--full" in page.locator("#panel").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_what_is_added_to_the_page_does_not_run(chain, browser, tmp_path):
    """A script, a handler and a style written into the file itself."""
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text_of(chain))[1].replace("&#39;", "'")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert all(re.fullmatch(r"'sha256-[\w+/=]{44}'", rules[kind]) for kind in ("script-src", "style-src"))
    added = (
        "<script>window.hurt = 1</script><style>main { display: none }</style><img src=data: onerror='window.hurt = 2'>"
    )
    path = tmp_path / "added.html"
    path.write_text(text_of(chain).replace("<main>", f"{added}<main>"), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("window.hurt") is None and page.locator("main").is_visible()
    context.close()


def test_the_policy_lets_nothing_else_run(chain, browser):
    """A script, a handler, a style, markup and a request put into the page by force are all refused."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(chain.resolve().as_uri())
    refused = page.evaluate(
        """() => new Promise((done) => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", (e) => seen.push(e.effectiveDirective));
          const script = document.createElement("script");
          try { script.text = "window.hurt = 1"; } catch { seen.push("trusted types"); }
          try { document.body.innerHTML += "<p>"; } catch { seen.push("trusted types"); }
          document.body.setAttribute("style", "color: red");
          fetch("https://example.org/").catch(() => seen.push("fetch failed"));
          const image = new Image();
          image.onerror = () => setTimeout(() => done(seen), 300);
          image.src = "https://example.org/x.png";
        })"""
    )
    wanted = {"trusted types", "require-trusted-types-for", "style-src-attr", "connect-src", "img-src", "fetch failed"}
    assert wanted <= set(refused) and page.evaluate("window.hurt") is None
    context.close()
