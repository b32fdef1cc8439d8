"""A model's architecture from the ``config.json`` that Hugging Face repositories hold.

The configuration of one family of architectures is one function in :mod:`workloads.hugging_face.families`; what is no
decoder-only transformer is refused by :mod:`workloads.hugging_face.refusals`, which names what comes nearest.
"""

from workloads.hugging_face.read import read_config

__all__ = ["read_config"]
