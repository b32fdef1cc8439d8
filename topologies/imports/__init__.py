"""Machines that others describe, in ``nvidia-smi topo -m``, GraphML or InfraGraph; each becomes a machine's TOML.

Every reader turns a file into a :class:`topologies.imports.common.Wiring`, or says in one message what is wrong with
it; :mod:`topologies.imports.recognise` finds the builder whose graph this is; :mod:`topologies.imports.machine_file`
writes the machine, with everything that the file does not say taken from a machine of the catalogue.
"""
