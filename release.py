"""Make a release: check that all agrees, build it of the files that git knows, check what was built, tag.

    python release.py check     # version, changelog, citation, clean tree, address of the repository
    python release.py build     # dist/: sdist, and the wheel that is built of it; twine check --strict
    python release.py tag     # both, then the tag; pushing it publishes (.github/workflows/release.yml)
    python release.py tagged     # both, where the tag is set: what that workflow does

PyPI shows the README, but knows no file of the repository. So what is built has a README whose pictures and links are
addresses at the tag, and the addresses of the project beside that of the paper. They follow from one address: that of
the remote `origin`, or --repository. There is none in any file, so none has to be edited when the repository moves.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent
UNPUBLISHED = "is not on PyPI yet"  # what the README says before the first release
LINK = re.compile(r"(!?)(\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?!#|[a-z]+:)([^)\s]+)(\))")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def main() -> None:
    """Do what is asked for, or say what is wrong and end with 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["check", "build", "tag", "tagged"])
    parser.add_argument("--repository", help="https://github.com/OWNER/NAME (default: the remote origin)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for what is built (default: dist)")
    options = parser.parse_args()
    repository = address(options.repository or git("config", "--get", "remote.origin.url", may_fail=True))
    faults = [] if repository else ["No address: origin is no repository of GitHub. Give --repository URL."]
    if options.what != "build":
        faults += disagreements(tagged=options.what == "tagged")
    if faults:
        sys.exit("\n".join(faults))
    if options.what != "check":
        build(repository or "", options.out.resolve())
    if options.what == "tag":
        git("tag", "--annotate", tag(), "--message", f"grpo-prm {version()}")
        sys.stdout.write(f"{tag()} is set. To publish: git push origin {tag()}\n")


def disagreements(*, tagged: bool = False) -> list[str]:
    """What speaks against a release of the version that the code names; a sentence each.

    Args:
        tagged: Its tag must be at this commit. Else there must be none.
    """
    at = git("rev-list", "--max-count=1", tag(), may_fail=True)
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff", "README.md")}
    heading = re.search(r"^## (.*)$", texts["CHANGELOG.md"], re.MULTILINE)
    newest = heading[1] if heading else "nothing"
    sentences = {
        f"CHANGELOG.md: the newest heading is '{newest}'. Make it '{version()} (YYYY-MM-DD)'.": not re.fullmatch(
            rf"{re.escape(version())} \(\d{{4}}-\d\d-\d\d\)", newest
        ),
        f"CITATION.cff: has another version than {version()}.": f"\nversion: {version()}\n"
        not in texts["CITATION.cff"],
        f"README.md: says that it {UNPUBLISHED}. Take the sentence out.": UNPUBLISHED in texts["README.md"],
        f"{tag()} is there. Raise the version in grpo_prm/version.py.": bool(at) and not tagged,
        f"{tag()} is not at this commit. Tag it with the version of the code.": tagged
        and at != git("rev-parse", "HEAD"),
        "Some files are not committed. Commit them, or put them away.": bool(git("status", "--porcelain")),
    }
    return [sentence for sentence, wrong in sentences.items() if wrong]


def build(repository: str, out: Path) -> None:
    """Build sdist and wheel of the files that git knows into a folder, which is made anew, and check them.

    Raises:
        subprocess.CalledProcessError: Something does not build, or PyPI would not take or show it.
    """
    shutil.rmtree(out, ignore_errors=True)
    with TemporaryDirectory() as place:
        tree = Path(place, "tree")
        for name in git("ls-files", "-z").strip("\0").split("\0"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
        readme, project = tree / "README.md", tree / "pyproject.toml"
        readme.write_text(with_addresses(readme.read_text("utf-8"), repository, tag()), encoding="utf-8")
        project.write_text(with_urls(project.read_text("utf-8"), repository), encoding="utf-8")
        python("build", "--no-isolation", "--outdir", str(out), str(tree))
    python("twine", "check", "--strict", *sorted(map(str, out.iterdir())))


def with_addresses(text: str, repository: str, at: str) -> str:
    """A page at the top of the repository whose pictures and links lead there from anywhere; code stays as it is.

    Args:
        text: The page, as Markdown.
        repository: Address of the repository on GitHub.
        at: The tag.
    """
    raw = repository.replace("https://github.com/", "https://raw.githubusercontent.com/") + f"/{at}/"

    def lead(link: re.Match[str]) -> str:
        picture, before, target, after = link.groups()
        return f"{picture}{before}{raw if picture else f'{repository}/blob/{at}/'}{target}{after}"

    parts = CODE.split(text)
    return "".join(part if n % 2 else LINK.sub(lead, part) for n, part in enumerate(parts))


def with_urls(project: str, repository: str) -> str:
    """The pyproject.toml with the addresses of the project."""
    urls = {
        "Repository": repository,
        "Documentation": f"{repository}#readme",
        "Changelog": f"{repository}/blob/{tag()}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    lines = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
    return project.replace("[project.urls]\n", f"[project.urls]\n{lines}")


def address(remote: str | None) -> str | None:
    """The page of a repository on GitHub, of the address that git fetches from; None where it is not one."""
    found = re.fullmatch(r"(?:https://|git@|ssh://git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", remote or "")
    return f"https://github.com/{found[1]}" if found else None


def version() -> str:
    """That of the code."""
    return (ROOT / "grpo_prm/version.py").read_text(encoding="utf-8").split('"')[-2]


def tag() -> str:
    """The tag of the version."""
    return f"v{version()}"


def git(*arguments: str, may_fail: bool = False) -> str:
    """What git prints."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=not may_fail, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()


def python(*module: str) -> None:
    """Run a module of this Python."""
    subprocess.run([sys.executable, "-m", *module], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
