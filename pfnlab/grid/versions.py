"""Which code counts: rows of one version are no rows of another."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

#: Packages and modules above the grid: what changes in them changes no counter.
_ABOVE = (
    *("__main__", "advice", "alternatives", "asked", "chapters", "claims", "cli", "demo"),
    *("figures", "gallery", "headless", "named", "notebooks", "parameter_files", "portrait"),
    *("reality", "report", "studies", "widgets"),
)


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the digest of all code that a counter may depend on."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0].removesuffix(".py") not in _ABOVE:
            digest.update(f"{name.as_posix()} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
