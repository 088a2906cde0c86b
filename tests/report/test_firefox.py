"""The page in Firefox: it opens without an error, unpacks its texts, searches, marks and follows an address."""

import io

import pytest
from PIL import Image
from report.browsers import firefox_program
from report.firefox import READY, firefox
from report.pages import address, data_of, name_of

SEARCH = """(async () => {
  const search = document.getElementById("search"), says = document.getElementById("search-says");
  search.value = "*9=";
  search.dispatchEvent(new Event("input"));
  while (!/ hits in \\d+ groups\\.$/.test(says.textContent)) await new Promise((go) => setTimeout(go, 20));
  while (!CSS.highlights.get("hit")) await new Promise((go) => setTimeout(go, 20));
  return [says.textContent, CSS.highlights.get("hit").size];
})()"""

# A point of the track of the list's scroll bar, below its thumb.
BAR = """(() => {
  const rows = document.getElementById("rows"), box = rows.getBoundingClientRect();
  return [Math.round((box.left + rows.clientWidth + box.right) / 2), Math.round(box.top + rows.clientHeight - 12)];
})()"""


@pytest.mark.slow
def test_the_page_works_in_firefox(chain, tmp_path):
    program = firefox_program()
    if program is None:
        pytest.skip("no Firefox on this machine: apt-get install firefox-esr")
    tree = data_of(chain)["trees"][40]
    sample = tree["completions"]["sample"][2]
    with firefox(program, tmp_path) as tab:
        evaluate = tab.evaluate
        evaluate(chain.resolve().as_uri() + address(chain, tree["group"], sample), READY)
        title = evaluate(None, "document.getElementById('tree-title').textContent")
        assert title == f"Group {name_of(chain, tree['group'])}"
        steps = tree["steps"]
        text = "".join(
            text
            for text, first, size in zip(tree["texts"], steps["first"], steps["size"], strict=True)
            if first <= 2 < first + size
        )
        assert evaluate(None, "document.querySelector('#whole .text').textContent") == text
        boxes = "[...document.querySelectorAll('[role=treeitem]')].filter((box) => box.checkVisibility()).length"
        assert evaluate(None, boxes) == len(tree["texts"])
        said, marked = evaluate(None, SEARCH)
        assert int(said.split(" ")[0].replace(",", "")) > 5 and marked > 0
        assert evaluate(None, "document.documentElement.scrollWidth <= innerWidth")
        evaluate(None, "(document.getElementById('search').value = '', document.getElementById('clear').click())")
        for scheme, sign in (("light", 1), ("dark", -1)):
            if scheme == "dark":
                evaluate(None, "document.getElementById('theme').click()")
            right, bottom = evaluate(None, BAR)
            bar = Image.open(io.BytesIO(tab.picture())).convert("L").getpixel((right, bottom))
            assert sign * (bar - 128) > 0, f"the scroll bar of the list is of grey {bar} where the page is {scheme}"
