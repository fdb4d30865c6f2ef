"""The command line ``pfnlab``: a module a command, loaded when the command is used.

A command's module has ``add_arguments(parser)`` and ``run(arguments) -> exit status``; what was
typed is in ``arguments.typed``. Exit status: 0 done, 1 failed, 2 bad usage or input, 3 some points
of a sweep failed, 130 interrupted. Data goes to stdout, all else to stderr.
"""

import argparse
import os
import re
import shlex
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import pfnlab
from pfnlab.cli.output import say
from pfnlab.errors import FileError, PfnlabError, near
from pfnlab.interrupts import interrupts_kept

#: Every command and its line of help; ``trace info`` is in the module ``trace_info``.
COMMANDS: dict[str, str] = {
    "advise": "which scheme to choose on a device, and which sizes",
    "calibrate": "a cost preset from this machine",
    "compare": "what differs between two frames, or two folders of them",
    "host": "what this kernel pays for struct page, beside what each scheme would",
    "notebook list": "the notebooks, and what each asks",
    "notebook run": "run notebooks without a browser, with parameters",
    "replay": "replay a trace or a workload once: what it counts and what that takes",
    "report": "results as one HTML file: verdicts, figures, provenance",
    "schemes": "every way to hold the descriptors of a device, on one trace",
    "sweep": "replay under every point of a grid, and keep the frame",
    "trace capture": "run a program and keep what it touches as a trace",
    "trace convert": "make a native trace of a file of any known format",
    "trace head": "show the first events of a trace",
    "trace info": "show what a trace touches, when and how often",
}
_GROUPS = {"notebook": "run the notebooks headless", "trace": "read, write and look at traces"}

DONE, FAILED, BAD_INPUT, SOME_FAILED, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = words[: words.index("--")] if "--" in words else words  # what follows is for a program
    if "--debug" in own:  # before the command or after it
        words.remove("--debug")
        words.insert(0, "--debug")
    parsed = _parser(words).parse_args(words)
    try:
        with interrupts_kept(), warnings.catch_warnings():
            # Where in the code a warning arose is nobody's concern here.
            warnings.showwarning = lambda message, *_, **__: say(str(message))
            status: int = parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except PfnlabError as error:
        if parsed.debug:
            raise
        say(str(error))
        return FAILED if isinstance(error, FileError) else BAD_INPUT
    except Exception as error:
        if parsed.debug:
            raise
        say(f"{type(error).__name__}: {error} (--debug shows where)")
        return FAILED
    return status


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest command for one that there is not."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with 2."""
        wrong = re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            known = re.findall(r"[\w-]+", wrong[2])
            message = f"{wrong[1]!r} is no command; {near(wrong[1], known)}"
        super().error(message)


def _typed(words: Sequence[str]) -> str:
    """Return the command as it was typed, files by their names: folders are nobody's business."""
    return shlex.join(["pfnlab", *(word.rpartition("/")[2] or word for word in words)])


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return a parser of all commands; only the one that is used has its arguments, and imports."""
    parser = _Parser(prog="pfnlab", description=pfnlab.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"pfnlab {pfnlab.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    top = parser.add_subparsers(metavar="COMMAND", required=True)
    groups = {
        name: top.add_parser(name, help=text, description=text).add_subparsers(
            metavar="COMMAND", required=True
        )
        for name, text in _GROUPS.items()
    }
    plain = [word for word in words if not word.startswith("-")]
    for command, text in COMMANDS.items():
        *group, name = command.split()
        added = (groups[group[0]] if group else top).add_parser(name, help=text, description=text)
        if plain[: len(group) + 1] == command.split():
            module = import_module(f"{__name__}.{command.replace(' ', '_')}")
            module.add_arguments(added)
            added.set_defaults(run=module.run, typed=_typed(words))
    return parser
