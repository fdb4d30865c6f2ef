"""The pages that a reader sees, and their examples, which run as they stand.

Blocks in ``python`` run here, those of a page after each other; in ``sh`` as one shell script; in
``console`` each line after ``$`` alone, and what is shown below it must come out (``...`` stands
for anything). A block that begins with a comment naming a file, ``# grid.yaml``, is that file.
Comments before a block: ``<!-- skip: next "why" -->`` leaves it out, `VARY` its figures.
"""

import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from pfnlab.cli import main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
#: Every page in Markdown.
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(DOCS.glob("howto/*.md")),
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FILE_NAME = re.compile(r"# (\S+\.(?:py|yaml|toml|csv))\n")
#: Stands before a block whose figures depend on the machine: those are not compared.
VARY = "<!-- figures vary -->\n"
FIGURE = re.compile(r"\d[\d.,]*\b")
SECONDS = 120
#: A command that needs no shell.
PLAIN = re.compile(r"pfnlab [\w ./,:=-]+")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def environment() -> dict[str, str]:
    """Return where a page's commands find this checkout's pfnlab first, and print at once."""
    programs = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "120",
    }


def shell(script: str, *options: str) -> str:
    """Run a script as a page's reader would; return all it prints."""
    command = ["bash", *options, "-c", script]
    done = subprocess.run(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode} of\n{script}\n{done.stdout[-3000:]}"
    return done.stdout


def pfnlab_here(command: str) -> str:
    """Run a plain ``pfnlab ...`` in this process: a new one takes longer to start than to run."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), patch.dict(os.environ, COLUMNS="120"):
        status = main(shlex.split(command)[1:])
    assert status == 0, f"exit {status} of\n{command}\n{printed.getvalue()[-3000:]}"
    return printed.getvalue()


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block, and what is shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n", "", part).partition("\n")
        yield command, shown


def run_console(example: Example) -> None:
    vary = example.document.text[: example.start].endswith(VARY)
    for command, shown in commands(example.parsed):
        printed = pfnlab_here(command) if PLAIN.fullmatch(command) else shell(command)
        if shown.strip():
            both = (shown, printed)
            compare(command, *(FIGURE.sub("0", text) if vary else text for text in both))


def compare(command: str, shown: str, printed: str) -> None:
    """Refuse what is printed if it is not what is shown."""
    checker = doctest.OutputChecker()
    if not checker.check_output(shown, printed, FLAGS):
        wanted = doctest.Example(command, shown)
        raise AssertionError(checker.output_difference(wanted, printed, FLAGS))


def run_shell(example: Example) -> None:
    shell(example.parsed, "-euo", "pipefail")


def write_file(example: Example) -> bool:
    """Write a block that names the file it is; whether it does."""
    named = FILE_NAME.match(example.parsed)
    if named:
        Path(named[1]).write_text(example.parsed[named.end() :])
    return named is not None


def run_python(example: Example) -> None:
    if not write_file(example):
        PythonEvaluator()(example)


def run_yaml(example: Example) -> None:
    assert write_file(example), "a block in yaml must begin with a comment that names its file"


PYTHON = PythonCodeBlockParser(doctest_optionflags=FLAGS)
PYTHON.codeblock_parser = CodeBlockParser("python", run_python)
EXAMPLES = Sybil(
    parsers=[
        PYTHON,
        CodeBlockParser("console", run_console),
        CodeBlockParser("sh", run_shell),
        CodeBlockParser("yaml", run_yaml),
        SkipParser(),
    ]
)


def examples(page: Path) -> Document:
    """Return a page with its examples; they see ``__name__`` as a script of their own does."""
    document = EXAMPLES.parse(page)
    document.namespace["__name__"] = "__main__"
    return document
