"""The table of commands, and the one place where an error becomes a message and an exit code."""

import errno
import gc
import io
import os
import signal
import sys
from contextlib import suppress

import typer

from . import (
    analyze,
    compare,
    convert,
    demo,
    doctor,
    explain,
    export,
    fetch,
    inspect,
    live,
    plot,
    report,
    reproduce,
    selftest,
    train,
    tree,
)

STOPS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}  # with 128 and its number as exit code
READER_GONE = 141  # what a shell says of others whose reader goes away
# What the system refuses, and no code of ours can help.
REFUSALS = {getattr(errno, name, None) for name in ("EACCES", "EPERM", "EIO", "EROFS", "ESTALE")}
EXTRAS = dict.fromkeys(("torch", "transformers", "safetensors", "yaml", "peft"), "train")
EXTRAS |= {"textual": "tui", "gguf": "models"}  # module to the extra that brings it
app = typer.Typer(
    name="grpo-prm",
    epilog="Exit codes: 0 done; 1 a bug of ours; 2 wrong usage, or a full disk; 3 nothing usable in the input, or a "
    "check of doctor failed; 4 rows were rejected and --strict was given; 5 a claim that must hold did not; 6 a "
    "finding named by --fail-on; 130 interrupted (Ctrl-C), 143 terminated, 129 hung up: nothing is left half written "
    "(analyze --follow sums up then, and ends with 0); 141 nobody reads the output.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
PANELS = {  # of the first screen, with what a newcomer types on top
    "Start": (demo, explain),
    "Your log": (inspect, analyze, report, tree, plot, compare, export, convert),
    "Training": (train, fetch, live, doctor),
    "Evidence": (reproduce, selftest),
}
for panel, modules in PANELS.items():
    for module in modules:
        name = module.__name__.rsplit(".", 1)[-1]
        app.command(name, epilog=module.EXAMPLES, rich_help_panel=panel)(getattr(module, name))


def print_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from grpo_prm import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    version: bool = typer.Option(  # noqa: ARG001 - its callback acts
        False, "--version", help="Print the version and stop.", is_eager=True, callback=print_version
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """See the process reward model that GRPO hides in your rollouts (arXiv 2509.21154)."""
    os.environ["GRPO_PRM_DEBUG"] = "1" if debug else ""
    if context.invoked_subcommand not in ("train", "reproduce"):  # torch may use the same library there
        # Asked for when numpy is imported. More threads spin while they wait for the next small product.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> None:
    """Run a command; turn a fault of the input into its message and exit code."""
    from grpo_prm.stopping import stop_in_order

    from .warned import say_warnings

    say_warnings()
    stopped: list[int] = []
    stop_in_order(tuple(STOPS), stopped.append)
    # Modules and rows of a log are many objects with hardly a cycle: Python need not look for them so often.
    gc.set_threshold(100_000, 50, 1000)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a stream of another encoding gets escapes instead of an exception
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            if sys.stdout:
                sys.stdout.flush()  # a reader that has gone is met here, and not when nothing can be done about it
    except BaseException as error:
        _end(error, stopped)
        raise


def _end(error: BaseException, stopped: list[int]) -> None:
    """End with a sentence and the exit code of what went wrong; return where only a traceback helps."""
    from grpo_prm.errors import GrpoPrmError, UsageError
    from grpo_prm.full_disk import full_disk
    from grpo_prm.text.printable import printable

    if stopped:  # a library may have made another error of it
        with suppress(OSError):  # the terminal may be gone
            typer.echo(f"{STOPS[signal.Signals(stopped[0]).name]}: nothing is left half written", err=True)
        _leave_stdout()
        sys.exit(128 + stopped[0])
    if _reader_is_gone(error):
        _leave_stdout()
        sys.exit(READER_GONE)
    if os.environ.get("GRPO_PRM_DEBUG"):
        return
    full = full_disk(error)
    if isinstance(error, GrpoPrmError):
        typer.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(UsageError.exit_code if full else error.exit_code)
    if full:
        typer.echo(f"error: {_full(full)}", err=True)
        _leave_stdout()
        sys.exit(UsageError.exit_code)
    if isinstance(error, OSError) and error.errno in REFUSALS:
        what = printable(str(error.filename or "what is read or written"))
        typer.echo(f"error: {what}: {error.strerror}. Check the file and the disk, then try again.", err=True)
        sys.exit(GrpoPrmError.exit_code)
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in EXTRAS:
        install = f"pip install 'grpo-prm[{EXTRAS[missing]}]'"
        checkout = f"in a checkout: pip install '.[{EXTRAS[missing]}]'"
        typer.echo(f"error: this command needs {missing}. Install it: {install} ({checkout})", err=True)
        sys.exit(UsageError.exit_code)


def _full(reason: str) -> str:
    """A full disk, and what to do."""
    return (
        f"{reason}: nothing is left half written, and what was there before is as it was. Make room, or name another "
        "disk with --out, or with TMPDIR for files that are there for the time being."
    )


def _leave_stdout() -> None:
    """What could not be written is not tried once more when Python ends."""
    with suppress(OSError, ValueError, AttributeError):  # it may be closed
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _reader_is_gone(error: BaseException | None) -> bool:
    """Did whoever reads the output stop, as `head` does? Click and rich make another error of it."""
    while error and not isinstance(error, BrokenPipeError):
        error = error.__context__
    return error is not None


if __name__ == "__main__":
    main()
