"""Fabrics as GraphML, for other tools."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx as nx


def as_graphml(graph: nx.Graph[str]) -> bytes:
    """The graph with the attributes that GraphML can hold: coordinates as text, cuts as one flag of each node."""
    import networkx as nx

    flat: nx.Graph[str] = nx.Graph(**_scalars(graph.graph))
    sides = {name: set(side) for name, side in graph.graph["cuts"].items()}
    for node, data in graph.nodes.items():
        flat.add_node(node, **_scalars(data), **{f"cut: {name}": node in side for name, side in sides.items()})
    flat.add_edges_from((u, v, _scalars(data)) for u, v, data in graph.edges.data())
    text = io.BytesIO()
    nx.write_graphml_xml(flat, text)
    return text.getvalue()


def _scalars(attributes: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in attributes.items() if isinstance(value, bool | int | float | str)}
    tuples = {key: ",".join(map(str, value)) for key, value in attributes.items() if isinstance(value, tuple)}
    return kept | tuples
