"""The release script on a repository of its own: what it refuses, and that the README leads out of PyPI."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/OWNER/NAME"


@pytest.fixture
def release(tmp_path, monkeypatch):
    """The script, with a small repository in place of this one, ready for its version 1.2.3."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = {
        "CHANGELOG.md": "# Changelog\n\n## 1.2.3 (2027-01-31)\n\n- new\n\n## 1.2.2 (2026-01-31)\n",
        "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.3\n",
        "README.md": "# grpo-prm\n",
        "grpo_prm/version.py": '"""The version."""\n\n__version__ = "1.2.3"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return module


def git(folder, *arguments):
    name = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *name, *arguments], check=True)  # noqa: S607


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a")


def test_a_repository_that_is_ready_is_not_refused(release):
    assert release.disagreements() == []
    assert release.disagreements(tagged=True) == ["v1.2.3 is not at this commit. Tag it with the version of the code."]


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("CHANGELOG.md", "1.2.3 (2027-01-31)", "1.2.3 (unreleased)", "CHANGELOG.md: the newest heading"),
        ("CHANGELOG.md", "## 1.2.3 (2027-01-31)", "", "CHANGELOG.md: the newest heading is '1.2.2 (2026-01-31)'"),
        ("CITATION.cff", "1.2.3", "1.2.2", "CITATION.cff: has another version"),
        ("README.md", "# grpo-prm", "It is not on PyPI yet.", "README.md: says that it is not on PyPI yet."),
        ("grpo_prm/version.py", "1.2.3", "1.2.4", "CHANGELOG.md: the newest heading"),
    ],
)
def test_what_does_not_agree_is_named(release, tmp_path, name, old, new, says):
    path = tmp_path / name
    path.write_text(path.read_text().replace(old, new, 1))
    commit(tmp_path)
    assert release.disagreements()[0].startswith(says)


def test_a_tag_that_is_there_and_files_that_are_not_committed(release, tmp_path):
    git(tmp_path, "tag", "--annotate", "v1.2.3", "--message", "a")
    assert release.disagreements(tagged=True) == []
    assert release.disagreements() == ["v1.2.3 is there. Raise the version in grpo_prm/version.py."]
    (tmp_path / "new.py").touch()
    assert release.disagreements(tagged=True) == ["Some files are not committed. Commit them, or put them away."]
    commit(tmp_path)
    assert [sentence[:30] for sentence in release.disagreements(tagged=True)] == ["v1.2.3 is not at this commit. "]


def test_without_an_address_nothing_is_built(release, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["release.py", "build", "--out", str(tmp_path / "dist")])
    git(tmp_path, "remote", "add", "origin", "/srv/grpo-prm")
    with pytest.raises(SystemExit, match="No address"):
        release.main()
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/OWNER/NAME", REPOSITORY),
        ("https://github.com/OWNER/NAME.git", REPOSITORY),
        ("git@github.com:OWNER/NAME.git", REPOSITORY),
        ("ssh://git@github.com/OWNER/NAME.git", REPOSITORY),
        ("https://github.com/OWNER", None),
        ("https://github.com.example.org/OWNER/NAME", None),
        ("/srv/OWNER/NAME", None),
        ("", None),
    ],
)
def test_the_address_of_a_remote(release, remote, page):
    assert release.address(remote) == page


def targets(text):
    """Addresses of links and of pictures, and all code, as a parser of Markdown finds them."""
    inline = [child for token in MarkdownIt().enable("table").parse(text) for child in token.children or []]
    links = [token.attrs["href"] for token in inline if token.type == "link_open"]
    pictures = [token.attrs["src"] for token in inline if token.type == "image"]
    blocks = [token for token in MarkdownIt().parse(text) if token.type in ("fence", "code_block")]
    return links, pictures, [token.content for token in (*blocks, *inline) if "code" in token.type or token in blocks]


def test_every_link_of_the_readme_leads_out_and_code_stays(release):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links, pictures, code = targets(text)
    there = targets(release.with_addresses(text, REPOSITORY, "v9"))
    raw = "https://raw.githubusercontent.com/OWNER/NAME/v9/"
    assert there[0] == [
        link if re.match("https?:|#", link) else f"{REPOSITORY}/blob/v9/{link}" for link in links
    ]  # fmt: skip
    assert there[1] == [raw + picture for picture in pictures] and len(pictures) >= 2
    assert there[2] == code and len(code) > 20


@pytest.mark.parametrize(
    "text", ["`[a](b)`", "[a](#b)", "[a](https://b.c/d)", "[a](mailto:b@c.d)", "```\n[a](b)\n```\n", "a[0](b"]
)
def test_what_is_no_link_into_the_repository_stays(release, text):
    assert release.with_addresses(text, REPOSITORY, "v9") == text


def test_the_project_gets_its_addresses_beside_that_of_the_paper(release):
    text = (ROOT / "pyproject.toml").read_text()
    before, after = (tomllib.loads(one)["project"] for one in (text, release.with_urls(text, REPOSITORY)))
    assert after["urls"].pop("Paper") == before["urls"]["Paper"]
    assert after["urls"]["Changelog"] == f"{REPOSITORY}/blob/v1.2.3/CHANGELOG.md"
    assert all(url.startswith(REPOSITORY) for url in after["urls"].values()) and len(after["urls"]) == 4
    assert {**before, "urls": 0} == {**after, "urls": 0}


def test_workflows_pin_their_actions_and_only_publishing_may_ask_for_an_identity():
    texts = {path.name: path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")}
    used = [use for text in texts.values() for use in re.findall(r"uses: (.*)", text)]
    assert len(used) >= 7 and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in used)
    assert all("\npermissions: {}\n" in text for text in texts.values())
    assert [text.count("id-token: write") for _, text in sorted(texts.items())] == [1, 0]
    assert "environment:\n      name: pypi" in texts["release.yml"].partition("  publish:")[2]
