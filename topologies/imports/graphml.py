"""Reads GraphML: what ``supernode topology --graphml`` writes, or any undirected graph with the same few attributes.

Nodes need ``kind``; edges ``bandwidth_bytes_per_s`` (one direction of one link) and ``latency_s``, and may have
``links``. The file is read as a stream in which a document type, and with it every entity, is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.parsers import expat  # the stream that refuses document types is written below

from simulator.errors import InputError
from topologies.imports.common import Collector, Edge, Wiring, bandwidth, latency, links, read_limited, shown

LARGEST_BYTES = 16 << 20
DEEPEST = 8
LONGEST_VALUE = 10_000
_IGNORED = frozenset({"desc", "default", "port", "locator"})
_KNOWN = frozenset({"graphml", "key", "graph", "node", "edge", "data"}) | _IGNORED


def read(path: Path) -> Wiring:
    """The wiring in a GraphML file.

    Raises
    ------
    InputError : too large, not XML, with a document type, directed, nested, joined over a network between machines,
        or with a node or edge that lacks what it needs; names the line
    """
    text = read_limited(path, LARGEST_BYTES)
    stream = _Stream(str(path))
    try:
        stream.parser.Parse(text.encode(), True)  # noqa: FBT003 - the parser takes it by position
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        raise InputError(f"is not XML: {reason}", where=f"{path}: line {error.lineno}", remedy="mend it") from None
    if not stream.has_graph:
        raise InputError("holds no graph", where=str(path), remedy="write <graphml><graph edgedefault=...>")
    return stream.found()


class _Stream:
    """Takes elements as they come; nodes and edges are checked as soon as they end, ends of edges after the last."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.has_graph = False
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._letters
        self._collected = Collector(where)
        self._keys: dict[str, str] = {}
        self._open: list[str] = []
        self._at: dict[str, str] = {}
        self._data: dict[str, str] = {}
        self._key = ""
        self._text: list[str] = []
        self._length = 0
        self._coords: dict[str, tuple[int, ...]] = {}
        self._edges: list[tuple[str, str, Edge, str]] = []

    def found(self) -> Wiring:
        for a, b, edge, place in self._edges:
            self._collected.edge(a, b, edge, place)
        return self._collected.wiring(self._coords)

    def _place(self) -> str:
        return f"line {self.parser.CurrentLineNumber}"

    def _refuse(self, message: str, remedy: str) -> InputError:
        return InputError(message, where=f"{self.where}: {self._place()}", remedy=remedy)

    def _doctype(self, *_: Any) -> None:
        raise self._refuse("declares a document type", "take <!DOCTYPE ...> and its entities out")

    def _start(self, tag: str, given: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        if name not in _KNOWN:
            remedy = "write nodes and edges only" if name in {"hyperedge", "endpoint"} else "take it out"
            raise self._refuse(f"<{shown(name)[1:-1]}> is not understood", remedy)
        if len(self._open) >= DEEPEST:
            raise self._refuse(f"is nested deeper than {DEEPEST} elements", "write one flat graph")
        if not self._open and name != "graphml":
            raise self._refuse(f"starts with <{name}>", "write <graphml> around the graph")
        self._open.append(name)
        if name == "key":
            self._keys[given.get("id", "")] = given.get("attr.name", given.get("id", ""))
        elif name == "graph":
            self._start_graph(given)
        elif name in {"node", "edge"}:
            self._at, self._data = given, {}
        elif name == "data":
            self._key, self._text, self._length = given.get("key", ""), [], 0

    def _start_graph(self, given: dict[str, str]) -> None:
        if self.has_graph:
            raise self._refuse("holds a second graph", "write one flat graph")
        if given.get("edgedefault") != "undirected":
            said = given.get("edgedefault", "")
            raise self._refuse(f"edgedefault is {shown(said)}", 'write edgedefault="undirected": links carry both ways')
        self.has_graph = True

    def _letters(self, text: str) -> None:
        if self._open[-1] == "data":
            self._length += len(text)
            if self._length > LONGEST_VALUE:
                raise self._refuse(f"a value is longer than {LONGEST_VALUE} letters", "shorten it")
            self._text.append(text)

    def _end(self, _: str) -> None:
        name = self._open.pop()
        if name == "data" and self._open[-1] in {"node", "edge"}:
            self._data[self._keys.get(self._key, self._key)] = "".join(self._text).strip()
        elif name == "node":
            self._end_node()
        elif name == "edge":
            self._end_edge()

    def _end_node(self) -> None:
        name = self._at.get("id", "")
        if not name:
            raise self._refuse("a node has no id", 'write <node id="...">')
        self._collected.node(name, self._data.get("kind", ""), self._place())
        parts = self._data.get("coord", "").split(",")
        if all(part.strip().isdecimal() and len(part) < 9 for part in parts):
            self._coords[name] = tuple(int(part) for part in parts)

    def _end_edge(self) -> None:
        place = self._place()
        a, b = self._at.get("source", ""), self._at.get("target", "")
        if self._at.get("directed") == "true":
            raise self._refuse(f"the edge of {shown(a)} and {shown(b)} is directed", "links carry both ways")
        if self._data.get("domain") == "scale_out":
            raise self._refuse("an edge belongs to a network between machines", "export one machine")
        for needed in ("bandwidth_bytes_per_s", "latency_s"):
            if needed not in self._data:
                raise self._refuse(f"the edge of {shown(a)} and {shown(b)} has no {needed}", "add it as <data>")
        where = f"{self.where}: {place}"
        edge = Edge(
            bandwidth(self._data["bandwidth_bytes_per_s"], f"{where}: bandwidth_bytes_per_s"),
            latency(self._data["latency_s"], f"{where}: latency_s"),
            links(self._data.get("links", "1"), f"{where}: links"),
        )
        self._edges.append((a, b, edge, place))
