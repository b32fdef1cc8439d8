"""Predicted against published: every measured row with its error, good or bad."""

from supernode.validation.answers import Row
from supernode.validation.cases import Case, read_cases
from supernode.validation.report import as_json
from supernode.validation.run import Validation, default_files, predict, validate
from supernode.validation.statistics import reasons, summary

__all__ = [
    "Case",
    "Row",
    "Validation",
    "as_json",
    "default_files",
    "predict",
    "read_cases",
    "reasons",
    "summary",
    "validate",
]
