"""`grpo-prm report` on the command line."""

import shutil
import subprocess
import sys

import pytest
import typed
from report.pages import EXAMPLE, folder_of, without_figures


def run(*arguments, cwd):
    return typed.run(*arguments, cwd=cwd, COLUMNS="200")


@pytest.mark.slow
def test_the_page_lies_in_the_folder_or_where_it_is_asked_for(chain, tmp_path):
    folder = chain.parent
    wanted = chain.read_bytes()
    chain.unlink()
    done = run("report", folder.name, cwd=folder.parent)
    assert (done.returncode, done.stdout) == (0, "") and f"{folder.name}/report.html: 0." in done.stderr
    with without_figures():
        again = run("report", str(folder), "--out", "sub/page.html", cwd=tmp_path)
    assert again.returncode == 0 and len((tmp_path / "sub" / "page.html").read_bytes()) > 100_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sub"]
    chain.write_bytes(wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere",), 3, "not a folder of grpo-prm analyze. Analyse the log first"),
        (("file",), 3, "file: not a folder of grpo-prm analyze. Analyse the log first"),
        (("FOLDER", "--out", "."), 2, "is a folder. Give --out the name of a file."),
        (("FOLDER", "--out", "file/page.html"), 2, "cannot be written (File exists). Give --out another place."),
        (("FOLDER", "--tokenizer", "file"), 2, "file"),
        (("FOLDER", "--follow", "--pages"), 2, "Leave --pages and --no-text out."),
        (("FOLDER", "--pages", "--out", "file"), 2, "is a file. Give --out the name of a folder."),
    ],
)
def test_what_cannot_be_done_is_said_in_two_sentences(chain, tmp_path, arguments, code, said):
    (tmp_path / "file").write_text("no tokenizer")
    named = [str(chain.parent) if argument == "FOLDER" else argument for argument in arguments]
    done = run("report", *named, cwd=tmp_path)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_new_analysis_takes_the_old_page_away(chain, tmp_path):
    folder = tmp_path / "chain.prm"
    shutil.copytree(chain.parent, folder)
    assert (folder / "report.html").exists()
    folder_of(EXAMPLE, folder)
    assert not (folder / "report.html").exists()


@pytest.mark.slow
@without_figures()
def test_a_folder_of_pages_is_written_whole_and_goes_with_the_analysis(chain, tmp_path):
    folder = tmp_path / "chain.prm"
    shutil.copytree(chain.parent, folder)
    done = run("report", str(folder), "--pages", "--no-text", cwd=tmp_path)
    assert done.returncode == 0 and f"{folder}/report/index.html: 1 page, " in done.stderr
    page = folder / "report" / "index.html"
    assert "without prompts and completions" in page.read_text(encoding="utf-8")
    (folder / "report" / "mine.txt").write_text("mine")
    (folder / "report" / "7.html").write_bytes(page.read_bytes())  # of an analysis that had more
    assert run("report", str(folder), "--pages", cwd=tmp_path).returncode == 0
    assert {path.name for path in (folder / "report").iterdir()} == {"index.html", "mine.txt"}
    folder_of(EXAMPLE, folder)
    assert [path.name for path in (folder / "report").iterdir()] == ["mine.txt"]
    page.write_text("somebody's own")
    done = run("report", str(folder), "--pages", cwd=tmp_path)
    assert done.returncode == 2 and "that grpo-prm did not write" in done.stderr
    assert page.read_text() == "somebody's own"


def test_the_report_needs_no_torch():
    code = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; import grpo_prm.report"
    subprocess.run([sys.executable, "-c", code], check=True)
