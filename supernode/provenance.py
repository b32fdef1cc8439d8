"""What a result was made with: versions, seed, and hashes of the data that touched it."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata, resources

from simulator.compiled import kernel_hash

LIBRARIES = ("numpy", "numba", "scipy", "networkx", "simpy")


def data_hash(package: str) -> str:
    """SHA-256 over the names and bytes of all TOML files of a package, shortened."""
    digest = hashlib.sha256()
    root = resources.files(package)
    with resources.as_file(root) as folder:
        for path in sorted(folder.rglob("*.toml")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def provenance(seed: int, samples: int) -> dict[str, str]:
    """Everything that must be the same for the same bytes to come out."""
    return {
        "supernode": metadata.version("supernode-sim"),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
        "kernels": kernel_hash(),
        "catalogue": data_hash("topologies"),
        "workloads": data_hash("workloads"),
        "seed": str(seed),
        "samples": str(samples),
    }
