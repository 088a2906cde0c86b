"""Logs that lie elsewhere, fetched into a folder for the time being: https, s3, gs, hf, and data sets of the hub."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from ..errors import InputError, UsageError
from .temporary import temporary_place

BYTES = 32 << 30  # what one name may bring
EXTRA = "pip install 'grpo-prm[remote]'"
IN_EXTRA = ("s3", "s3a", "gs", "gcs", "hf")
# Files of a folder that are fetched: what may be a log, and not the weights beside it.
LOGS = re.compile(
    r"\.(jsonl?|ndjson|csv|tsv|parquet|arrow|eval|pt|zip|tgz|tar)(\.(gz|zst|bz2|xz))?$|\.tar\.\w+$", re.IGNORECASE
)
_URL = re.compile(r"([a-z][a-z0-9+.\-]+)://", re.IGNORECASE)
_DATASET = re.compile(r"[A-Za-z0-9][\w.\-]{0,95}/[A-Za-z0-9][\w.\-]{0,95}")
# Pages that people copy from the browser, and where what they show lies.
_HUB_PAGE = re.compile(
    r"https?://(?:huggingface\.co|hf\.co)/datasets/([^/?#]+/[^/?#]+)/?(?:(?:tree|blob)/([^/?#]+)/?([^?#]*))?"
)
_GITHUB_PAGE = re.compile(r"https?://github\.com/([^/]+/[^/]+)/blob/([^?#]+)")
_BLOCK = 1 << 20
_SECONDS = 60  # without a byte, after which a server is given up


def is_remote(name: str) -> bool:
    """Is a name an address, or a data set of the hub (`owner/name`) and no path here?"""
    if found := _URL.match(name):
        return found[1].lower() != "file"
    if not _DATASET.fullmatch(name) or LOGS.search(name):
        return False
    return not Path(name).exists() and not Path(name).parent.exists()


def fetched(name: str) -> Path:
    """Fetch what a remote name stands for; it goes when the process ends.

    Args:
        name: A name of which `is_remote` holds.

    Returns:
        A file or a folder, called like the last part of the name; of a folder what may be a log.

    Raises:
        UsageError: A package is missing; it says which, and what installs it.
        InputError: There is no such thing, it may not be read, is too large, a web page, or cannot be reached.
    """
    place = _place(name)
    target = temporary_place(re.split(r"[*?\[]", place)[0].rstrip("/"))
    try:
        if place.startswith(("https://", "http://")):
            return _by_http(name, place, target)
        return _by_fsspec(name, place, target)
    except BaseException:  # Ctrl-C too: the process may go on for long after
        shutil.rmtree(target.parent, ignore_errors=True)
        raise


def _place(name: str) -> str:
    """The address of the data that a name means."""
    if found := _HUB_PAGE.fullmatch(name.partition("?")[0]):
        dataset, revision, path = found.groups()
        return f"hf://datasets/{dataset}" + (f"@{revision}/{unquote(path)}" if revision else "")
    if found := _GITHUB_PAGE.match(name):
        return f"https://raw.githubusercontent.com/{found[1]}/{found[2]}"
    return name if _URL.match(name) else f"hf://datasets/{name}"


def _by_http(name: str, place: str, path: Path) -> Path:
    from http.client import HTTPException  # not with every log: it takes longer to import than a small one to read
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    ask = Request(place, headers={"User-Agent": "grpo-prm"})  # noqa: S310 - it starts with http
    try:
        with urlopen(ask, timeout=_SECONDS) as answer:  # noqa: S310
            promised = answer.headers.get("Content-Length", "")
            if "." not in path.name and (told := answer.headers.get_filename()):  # .../download?id=7
                path = path.with_name(PurePosixPath(told).name or path.name)
            size = _copy(answer, path, name)
    except HTTPError as error:
        error.close()  # it is the answer, too
        raise _refused(name, error.code, error.reason) from None
    except (OSError, HTTPException) as error:  # URLError is an OSError
        raise _unreached(name, getattr(error, "reason", None) or error) from None
    if promised.isdigit() and size < int(promised):
        raise InputError(f"{name}: the connection ended after {size:,} of {int(promised):,} bytes. Try again.")
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise InputError(
            f"{name}: a web page, not a log. Give the address of the file itself: its raw or download link."
        )
    return path


def _by_fsspec(name: str, place: str, target: Path) -> Path:
    scheme = place.partition("://")[0].lower()
    try:
        from fsspec.core import url_to_fs

        system, root = url_to_fs(place)
    except ImportError as error:
        raise _lacking(name, scheme, error) from None
    except ValueError:
        raise InputError(
            f"{name}: there is no way to read {scheme}://. Copy the log here, and name the copy."
        ) from None
    except Exception as error:  # some log in at once
        raise _unreached(name, error) from None
    try:
        wanted = _listed(system, root)
        if (size := sum(wanted.values())) > BYTES:
            raise InputError(f"{name}: {size / (1 << 30):,.0f} GB. Copy here what you mean, and name the copy.")
        return _copied(system, root, wanted, target)
    except InputError:
        raise
    except FileNotFoundError:
        raise _not_there(name) from None
    except PermissionError:
        raise _refused(name, 403, "Forbidden") from None
    except ImportError as error:
        raise _lacking(name, scheme, error) from None
    except Exception as error:  # every storage has errors of its own
        raise _unreached(name, error) from None


def _listed(system: Any, root: str) -> dict[str, int]:
    """The files behind an address, with their sizes: of a folder those that may be logs."""
    if _is_glob(root):
        found = {path: info for path, info in system.glob(root, detail=True).items() if info["type"] == "file"}
    elif (info := system.info(root))["type"] == "file":
        found = {root: info}
    else:
        found = {path: info for path, info in system.find(root, detail=True).items() if LOGS.search(path)}
    if not found:
        raise FileNotFoundError(root)
    return {path: int(info.get("size") or 0) for path, info in found.items()}


def _copied(system: Any, root: str, wanted: dict[str, int], target: Path) -> Path:
    if list(wanted) == [root]:
        system.get_file(root, str(target))
        return target
    root = re.split(r"[*?\[]", root)[0] if _is_glob(root) else f"{root.rstrip('/')}/"
    for path in wanted:
        below = PurePosixPath(path.removeprefix(root[: root.rfind("/") + 1]))
        if ".." in below.parts or below.is_absolute():
            raise InputError(f"{path}: lies outside of its folder. Copy here what you mean, and name the copy.")
        (target / below).parent.mkdir(parents=True, exist_ok=True)
        system.get_file(path, str(target / below))
    return target


def _is_glob(root: str) -> bool:
    return any(mark in root for mark in "*?[")


def _copy(answer: Any, path: Path, name: str) -> int:
    size = 0
    with path.open("wb") as file:
        while block := answer.read(_BLOCK):
            size += file.write(block)
            if size > BYTES:
                raise InputError(f"{name}: more than {BYTES >> 30} GB. Copy here what you mean, and name the copy.")
    return size


def _not_there(name: str) -> InputError:
    if _URL.match(name):
        return InputError(f"{name}: there is no such file, or no log in such a folder. Check the address.")
    return InputError(
        f"{name}: no such file or folder here, and the hub has no data set of this name with logs that may be read."
        " Check the path; to a private data set, log in first with hf auth login."
    )


def _refused(name: str, code: int, reason: object) -> InputError:
    if code in (404, 410):
        return _not_there(name)
    more = "Log in there, or download" if code in (401, 403) else "Try again later, or download"
    return InputError(f"{name}: the server does not give it ({code} {reason}). {more} it yourself and name the file.")


def _unreached(name: str, error: object) -> InputError:
    here = "" if _URL.match(name) else "no such file or folder here, and the data set of this name on the hub "
    said = getattr(error, "strerror", None) or str(error).partition("\n")[0].strip().rstrip(".")
    said = re.sub(r"^\[Errno -?\d+\] ", "", said) or type(error).__name__
    return InputError(
        f"{name}: {here}cannot be fetched ({said}). Check the {'address' if not here else 'path'} and the network,"
        " or download it yourself and name the copy."
    )


def _lacking(name: str, scheme: str, error: ImportError) -> InputError | UsageError:
    if not _URL.match(name):
        return InputError(
            f"{name}: no such file or folder here. Check the path; if a data set of the hub is meant, install what"
            f" reads it: {EXTRA}."
        )
    said = str(error).partition("\n")[0].strip().rstrip(".")
    then = f"Install it: {EXTRA}" if scheme in IN_EXTRA else "Install it, or copy the log here and name the copy"
    return UsageError(f"{name}: reading {scheme}:// needs a package that is missing ({said}). {then}.")
