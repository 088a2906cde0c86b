"""The pages of the docs site: each finding has one, words are those of the code, what is shown is what is printed."""

import importlib.util
import re
import tomllib

import pytest
from docs_commands import ROOT

from grpo_prm.analysis import findings

DOCS = ROOT / "docs"
CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
SHOWN = [page for page in sorted(DOCS.rglob("*.md")) if "```console\n" in page.read_text(encoding="utf-8")]
# What each page says of the limits that the code judges by.
LIMITS = {
    "mixed_prompts": ["One such group is a finding"],
    "unmasked_tool_output": [f"from {100 * findings.TOOL_OUTPUT:g} % on"],
    "sampler_gap": [f"below {100 * findings.SAMPLE_SIZE:g} %", f"from {findings.SPREAD:g} on"],
    "phantom_advantage": [f"from {100 * findings.PHANTOM:g} % on"],
    "teaches_nothing": [f"from {100 * findings.NO_VARIANCE:g} % on"],
    "copies": [f"from {100 * findings.COPIES:g} % on"],
    "boilerplate": [f"from {100 * findings.BOILERPLATE:g} % on"],
    "low_reliability": [f"the whole interval is below {findings.RELIABLE:g}"],
}
MEASURES = {"sampler_gap": ("effective_sample_size", "logprob_spread")}
HEADINGS = ["What it is", "How it is measured", "On a log where it is true", "What to do", "When it is a false alarm"]


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(name):
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("code", findings.CODES)
def test_each_finding_has_a_page_with_its_limit_and_a_picture_of_a_log_that_has_it(code):
    text = text_of(f"findings/{code}.md")
    assert f"Code: `{code}`." in text and re.findall(r"^## (.*)", text, re.MULTILINE) == HEADINGS
    bold = [" ".join(words.split()) for words in re.findall(r"\*\*(.*?)\*\*", text, re.DOTALL)]
    assert [words for words in LIMITS[code] if words.lower() not in map(str.lower, bold)] == []
    assert (
        f"](../figures/findings/{code}.png)" in text
        and (DOCS / "figures/findings" / f"{code}.png").stat().st_size > 5000
    )
    told = [words for key, words in findings.SENTENCES.items() if key in (code, *MEASURES.get(code, ()))]
    lasting = [max(re.split(r"\{[^}]*\}", words), key=len) for words in told]
    assert any(" ".join(words.split()) in " ".join(text.split()) for words in lasting), "its sentence is not shown"


def test_the_pages_of_findings_say_what_explain_prints():
    made = script("make_findings")
    for code in findings.CODES:
        before = text_of(f"findings/{code}.md")
        assert made.page(code, before) == before, "run make shown"
    with pytest.raises(SystemExit, match="Write that part first"):
        made.page("copies", "# Copies")


def test_the_list_of_findings_names_all_in_the_order_of_the_screen():
    assert re.findall(r"\| \[(\w+)\]\(findings/\1\.md\) \|", text_of("findings.md")) == list(findings.CODES)
    assert {page.stem for page in (DOCS / "findings").iterdir()} == set(findings.CODES)


def test_results_in_short_are_those_of_the_readme():
    readme, page = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "]("), text_of("claims.md")
    table = re.search(r"^\| claim \|.*?\n\n", readme, re.MULTILINE | re.DOTALL)[0]
    words = re.search(r"^In words: the (.*?)\n\n## ", readme, re.MULTILINE | re.DOTALL)[1]
    assert table in page and words in page


def test_the_glossary_is_that_of_the_report():
    made = script("make_glossary")
    assert text_of("glossary.md") == made.page(), "run make shown"
    assert (ROOT / "zensical.toml").read_text(encoding="utf-8").endswith(made.hovers()), "run make shown"
    hovering = CONFIG["markdown_extensions"]["abbr"]["glossary"]
    assert {"path depth", "reliability", "surprisal", "token"} <= set(hovering) and "best" not in hovering
    assert len(hovering) > 50 and all(made.GLOSSARY[term] == sentence for term, sentence in hovering.items())


def pages(nav):
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else pages(value)


def test_each_page_stands_in_the_menu_once():
    assert sorted(pages(CONFIG["nav"])) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_no_link_leaves_the_site(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).resolve().is_relative_to(DOCS)] == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_a_list_and_a_table_follow_an_empty_line(page):
    """Else the site makes a paragraph of them; GitHub does not."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(?![-|#>\d ]).+\n(?:- |1\. |\|).*", text, re.MULTILINE) == []


@pytest.mark.slow
@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_the_page_shows_what_its_commands_print(page, tmp_path):
    text, made = page.read_text(encoding="utf-8"), script("make_docs")
    assert made.shown(text, tmp_path) == text, f"run make shown SHOWN={page.relative_to(ROOT)}"
    pictures = made.PICTURE.findall(text)
    assert all((tmp_path / file).is_file() and (page.parent / place).is_file() for file, place in pictures)
    assert pictures or page.name == "start.md"
