"""Version of the code that counts: rows of one version never stand for rows of another."""

import hashlib
from functools import lru_cache
from pathlib import Path

#: Rooms and modules that a counter may depend on.
COUNTING = ("engine", "errors", "files", "kernels", "params", "sweeps", "traces")


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the digest of all code that a counter may depend on."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0].removesuffix(".py") in COUNTING:
            digest.update(f"{name.as_posix()} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
