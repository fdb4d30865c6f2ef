"""A JupyterLab of its own on loopback: nothing of the user's settings, nothing from the network."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STARTS_WITHIN_S = 90
#: The news pop-up asks the network, and covers a corner of the page.
OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


class LabError(Exception):
    """JupyterLab did not start."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A running server: its address and token, the folder that it shows, and its log."""

    address: str
    token: str
    root: Path
    log: Path

    def url(self, path: str) -> str:
        """Address of a notebook, in a workspace where nothing else is open."""
        return f"{self.address}/lab/tree/{path}?token={self.token}&reset"

    def tail(self, n_characters: int = 3000) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-n_characters:]

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            with urllib.request.urlopen(f"{self.address}/api?token={self.token}", timeout=1):
                return True
        except OSError:
            return False


@contextmanager
def serving(root: Path, settings: Path) -> Iterator[Lab]:
    """Serve `root` by a JupyterLab whose own files are all in `settings`; stop it at the end."""
    lab = Lab(f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16), root, settings / "lab.log")
    _configure(lab, settings)
    with lab.log.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_folders(settings)},
        )
    try:
        _wait(lab, process)
        yield lab
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _folders(settings: Path) -> dict[str, str]:
    """Environment by which JupyterLab and its kernels read and write in `settings` alone."""
    return {
        "IPYTHONDIR": str(settings / "ipython"),
        "JUPYTER_CONFIG_DIR": str(settings),
        "JUPYTER_DATA_DIR": str(settings / "data"),
        "JUPYTER_RUNTIME_DIR": str(settings / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings / "user"),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings / "workspaces"),
    }


def _configure(lab: Lab, settings: Path) -> None:
    """Write what the server reads when it starts; the token is then in no list of processes."""
    server = {
        "ServerApp": {
            "ip": "127.0.0.1",
            "port": int(lab.address.rpartition(":")[2]),
            "port_retries": 0,
            "root_dir": str(lab.root),
        },
        "IdentityProvider": {"token": lab.token},
        "KernelManager": {"transport_encryption": "auto"},  # a kernel warns without
    }
    # What a page can be driven by: "idle" in the toolbar is said before there is a kernel.
    page = {"LabApp": {"expose_app_in_browser": True, "app_settings_dir": str(settings)}}
    page["LabApp"]["news_url"] = ""
    for name, content in (
        ("jupyter_server_config.json", server),
        ("jupyter_lab_config.json", {**server, **page}),
        ("overrides.json", OVERRIDES),
    ):
        (settings / name).write_text(json.dumps(content))


def _wait(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while not lab.answers():
        if process.poll() is not None:
            raise LabError(f"JupyterLab ended with {process.returncode}:\n{lab.tail()}")
        if time.monotonic() > until:
            raise LabError(f"JupyterLab is not up after {STARTS_WITHIN_S} s:\n{lab.tail()}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
