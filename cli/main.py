"""The table of commands, and the one place where an error becomes a message and an exit code."""

import os
import sys

import typer

from . import analyze, convert, inspect, tree

app = typer.Typer(
    name="grpo-prm",
    help="See the process reward model that GRPO hides in your rollouts (arXiv 2509.21154).",
    epilog="Exit codes: 0 done; 1 a bug of ours; 2 wrong usage; 3 nothing usable in the input; 4 rows were rejected "
    "and --strict was given.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (inspect, analyze, tree, convert):
    name = module.__name__.rsplit(".", 1)[-1]
    app.command(name, epilog=module.EXAMPLES)(getattr(module, name))


@app.callback()
def common(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """See the process reward model that GRPO hides in your rollouts (arXiv 2509.21154)."""
    if version:
        from grpo_prm import __version__

        typer.echo(__version__)
        raise typer.Exit
    os.environ["GRPO_PRM_DEBUG"] = "1" if debug else ""


def main() -> None:
    """Run a command; turn a fault of the input into its message and exit code."""
    from grpo_prm.errors import GrpoPrmError

    try:
        app()
    except GrpoPrmError as error:
        if os.environ.get("GRPO_PRM_DEBUG"):
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `grpo-prm ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
