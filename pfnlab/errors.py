"""Every error that pfnlab raises on purpose; each message names field, value and requirement."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PfnlabError(Exception):
    """Base of all errors raised on purpose by pfnlab."""


class ParameterError(PfnlabError, ValueError):
    """A parameter has a value that its requirement does not allow.

    Attributes
    ----------
    field, value, requirement
        The three parts of the message ``field=value: requirement``.
    """

    def __init__(self, field: str, value: object, requirement: str) -> None:
        super().__init__(f"{field}={value!r}: {requirement}")
        self.field = field
        self.value = value
        self.requirement = requirement

    def __reduce__(self) -> tuple[type[ParameterError], tuple[str, object, str]]:
        """Pickle by parts, so that the error survives the way back from a worker process."""
        return type(self), (self.field, self.value, self.requirement)


class ParameterFileError(PfnlabError, ValueError):
    """A parameter file, or a frame to be made again, can't say what is asked for."""


class TraceError(PfnlabError, ValueError):
    """A trace, or a file that should hold one, is not what it must be."""


class FileError(PfnlabError, OSError):
    """A file can't be written or read; names the file and why."""


class FrameError(PfnlabError, ValueError):
    """A sweep frame lacks what a claim or a figure needs."""


class NotebookError(PfnlabError):
    """A notebook was given a parameter that it does not have, or one it can't use."""


def near(name: str, known: Iterable[str]) -> str:
    """Say which known name is near to `name`, or list the known names."""
    names = sorted(known)
    matches = get_close_matches(name, names, n=2, cutoff=0.6)
    if matches:
        return "did you mean " + " or ".join(repr(match) for match in matches) + "?"
    return "known are " + ", ".join(names)
