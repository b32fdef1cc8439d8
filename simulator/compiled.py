"""Where compiled kernels are kept: a private folder per user, named by what they were compiled from.

numba notices when the file of a compiled function changes, not when a function of another file that was inlined into
it does. The folder's name therefore holds a hash of every ``kernels.py`` and of the numba version: a change of any
makes a new folder, and nothing stale is ever run.
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib import metadata
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
_HOUSE = Path(__file__).parent


def kernel_hash() -> str:
    """Hash of all kernel sources, the numba version and the Python version."""
    digest = hashlib.sha256(f"{metadata.version('numba')} {sys.version_info[:2]}".encode())
    for path in sorted(_HOUSE.rglob("kernels.py")):
        digest.update(path.relative_to(_HOUSE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """The folder for compiled kernels under the user's cache home."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "supernode" / f"kernels-{kernel_hash()}"


def use_private_cache() -> None:
    """Tell numba where to keep compiled kernels, unless the user has told it already.

    Called before the first kernel is imported. Where no folder can be made, kernels are compiled anew in each run.
    """
    if VARIABLE in os.environ:
        return
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return
    os.environ[VARIABLE] = str(folder)


def is_warm() -> bool:
    """Whether kernels have been compiled into the folder before."""
    folder = os.environ.get(VARIABLE)
    return folder is not None and next(Path(folder).rglob("*.nbc"), None) is not None
