"""Notebooks: their parameters, the request of a parameters cell, and runs by papermill."""

import ast
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from pfnlab.errors import NotebookError, near
from pfnlab.notebooks import sweep_request
from pfnlab.notebooks.sources import ROOT
from pfnlab.notebooks.sweep_request import Request

FOLDER = ROOT / "notebooks"
#: Every name that the parameters cell of a notebook may have.
ALLOWED = (*sweep_request.NAMES, "regions")


@dataclass(frozen=True, slots=True)
class Job:
    """A notebook to run: its name, values of its parameters, and the file of the executed one."""

    name: str
    parameters: Mapping[str, Any]
    output: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `reason` is empty, or says which cell failed and why."""

    job: Job
    reason: str


def known() -> list[str]:
    """Return the names of all notebooks.

    Raises
    ------
    NotebookError
        Where there is no checkout, which alone has notebooks.
    """
    if not FOLDER.is_dir():
        raise NotebookError(f"{FOLDER}: no such folder; notebooks are run in a checkout")
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def title_of(name: str) -> str:
    """Return the first heading of a notebook."""
    texts = ("".join(cell["source"]) for cell in _cells(name) if cell["cell_type"] == "markdown")
    return next((text.splitlines()[0].lstrip("# ") for text in texts if text[:1] == "#"), "")


def parameters_of(name: str) -> dict[str, Any]:
    """Return the parameters of a notebook at their defaults.

    Raises
    ------
    NotebookError
        For an unknown notebook, near matches named.
    """
    tagged = (c for c in _cells(name) if "parameters" in c["metadata"].get("tags", ()))
    body = [node for cell in tagged for node in ast.parse("".join(cell["source"])).body]
    assigned = [node for node in body if isinstance(node, ast.Assign)]
    return {t: ast.literal_eval(node.value) for node in assigned for t in _targets(node)}


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _cells(name: str) -> list[dict[str, Any]]:
    if name not in (names := known()):
        raise NotebookError(f"notebook={name!r}: no such notebook; {near(name, names)}")
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    cells: list[dict[str, Any]] = json.loads(text)["cells"]
    return cells


def check(name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse an unknown notebook or parameter, or a value, before a kernel is started.

    Raises
    ------
    NotebookError
        For an unknown notebook or parameter; near matches are named.
    ParameterError
        For a value that its field refuses.
    """
    own = parameters_of(name)
    for parameter in parameters:
        if parameter not in own:
            raise NotebookError(f"{parameter}: no such parameter of {name}; {near(parameter, own)}")
    sweep_request.check(sweep_request.overlay(own, parameters))


def request(namespace: Mapping[str, Any]) -> Request:
    """Return the checked request of a notebook's parameters, its sources opened.

    Call it in the cell after the parameters: ``run = notebooks.request(globals())``. It reads
    the cells that were executed, so an unknown name that papermill injected is refused.

    Raises
    ------
    NotebookError
        For a name that is no parameter (near matches are named), an unknown source.
    ParameterError
        For a value that its field refuses.
    """
    assigned, injected = _assigned(namespace.get("In", ()))
    for name in sorted({*assigned, *injected}):
        if name not in ALLOWED:
            raise NotebookError(f"{name}: no such notebook parameter; {near(name, ALLOWED)}")
    own = {name: namespace[name] for name in ALLOWED if name in namespace}
    over = {name: own[name] for name in injected if name in own}
    return sweep_request.check(sweep_request.overlay(own, over)).opened()


def _assigned(cells: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the names of the parameters cell, and of the cell that papermill put after it."""
    assigned: set[str] = set()
    injected: set[str] = set()
    for cell in cells:
        try:
            targets = {name for node in ast.parse(cell).body for name in _targets(node)}
        except SyntaxError:  # a cell of magics
            continue
        if cell.startswith("# Parameters"):
            injected |= targets
        elif {"source", "costs"} <= targets:
            assigned |= targets
    return assigned, injected


def execute(name: str, parameters: Mapping[str, Any], output: Path) -> None:
    """Run ``notebooks/<name>.ipynb`` with papermill, from the root of the checkout.

    Raises
    ------
    NotebookError, ParameterError
        As `check`.
    papermill.PapermillExecutionError
        If a cell fails; the executed notebook is kept in `output`.
    """
    check(name, parameters)
    Kernels().execute(Job(name, parameters, output))


def execute_all(
    jobs: Iterable[Job], n_at_once: int = 1, on_end: Callable[[Outcome], None] = lambda end: None
) -> list[Outcome]:
    """Run notebooks, several at once; one whose cell fails leaves the others alone.

    Parameters
    ----------
    jobs
        All are checked before the first is started.
    n_at_once
        Kernels that run at the same time.
    on_end
        Called with every outcome, as it comes.

    Raises
    ------
    NotebookError, ParameterError
        As `check`.
    KeyboardInterrupt
        After every kernel was stopped.
    """
    todo, kernels = list(jobs), Kernels()
    for job in todo:
        check(job.name, job.parameters)
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(n_at_once) as pool:
        try:
            for done in as_completed([pool.submit(kernels.outcome, job) for job in todo]):
                outcomes.append(done.result())
                on_end(outcomes[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.stop()
            raise
    return outcomes


class Kernels:
    """The kernels of some runs, which another thread can stop."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._managers: list[Any] = []
        self._stopped = False

    def execute(self, job: Job) -> None:
        """Run a notebook; what it has done stays in its output if it fails."""
        import papermill
        from traitlets.config import Config

        job.output.parent.mkdir(parents=True, exist_ok=True)
        papermill.execute_notebook(
            FOLDER / f"{job.name}.ipynb",
            job.output,
            dict(job.parameters),
            cwd=ROOT,
            kernel_name="python3",
            progress_bar=False,
            config=Config(self._settings()),
        )

    def outcome(self, job: Job) -> Outcome:
        """Run a notebook, and say how that ended."""
        from papermill import PapermillExecutionError

        try:
            self.execute(job)
        except PapermillExecutionError as error:
            return Outcome(job, f"cell {error.exec_count}: {error.ename}: {error.evalue}")
        except Exception as error:  # one that failed leaves the others alone
            return Outcome(job, f"{type(error).__name__}: {error}")
        return Outcome(job, "")

    def stop(self) -> None:
        """Kill every kernel, and those that are being started."""
        logging.getLogger("papermill").setLevel(logging.CRITICAL)  # it would say that they died
        with self._lock:
            self._stopped = True
            for manager in self._managers:
                _kill(manager)

    def _settings(self) -> dict[str, dict[str, Any]]:
        # ipykernel 7.3 warns of plain TCP on every start (older clients do not know the option),
        # and logs the interrupt that a client sends before it shuts a kernel down as an error.
        return {
            "KernelManager": {"transport_encryption": "auto"},
            "NotebookClient": {
                "extra_arguments": ["--IPKernelApp.log_level=CRITICAL"],
                "kernel_manager_class": self._manager(),
            },
        }

    def _manager(self) -> type[Any]:
        """Return a class of managers that can be told to stop from another thread."""
        from jupyter_client.manager import AsyncKernelManager

        kernels = self

        class Manager(AsyncKernelManager):
            async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
                await super().start_kernel(**options)
                kernels._started(self)

        return Manager

    def _started(self, manager: Any) -> None:
        with self._lock:
            self._managers.append(manager)
            if self._stopped:
                _kill(manager)


def _kill(manager: Any) -> None:
    """Kill the process of a kernel, if it runs."""
    process = getattr(manager.provisioner, "process", None)
    if process is not None and process.poll() is None:
        process.kill()
