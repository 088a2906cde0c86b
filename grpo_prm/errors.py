"""What can go wrong with a user's input, each kind with the exit code that the command line gives it."""


class GrpoPrmError(Exception):
    """A fault of the input or the call. The first sentence names file, line and field, the second what to do."""

    exit_code = 3

    def __str__(self) -> str:
        """The sentences; half of a surrogate pair, which no terminal prints and JSON logs may hold, by its number."""
        return super().__str__().encode("utf-8", "backslashreplace").decode()


class UsageError(GrpoPrmError):
    """An option that cannot be meant: an absent column, an unknown format, a folder that is a file."""

    exit_code = 2


class InputError(GrpoPrmError):
    """Input of which nothing can be used."""

    exit_code = 3


class RejectedError(GrpoPrmError):
    """Rows were rejected and `strict` was asked for."""

    exit_code = 4


class FigureError(GrpoPrmError):
    """A figure could not be drawn, which is a bug of ours; the numbers and all other figures are written."""

    exit_code = 1


class FindingError(GrpoPrmError):
    """The log has a finding that the caller named: for pipelines that must stop then."""

    exit_code = 6


class FigureWarning(UserWarning):
    """A figure is drawn, but not all of it as it should be."""
