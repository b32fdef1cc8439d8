"""Functions inside kernels, which borrow the arrays of their callers."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numba.core.errors import NumbaError

from simulator.kernels import borrowing


@borrowing
def add_to(row, value):
    row += value
    return row.sum()


@borrowing
def sum_of_made(row):
    return (np.zeros(3) + row).sum()


@borrowing
def rest_of(row):
    return row[1:]


def test_a_borrowing_function_stays_plain_python():
    row = np.zeros(3)
    assert add_to(row, 2.0) == 6.0
    assert row.tolist() == [2.0, 2.0, 2.0]


def test_arrays_and_their_views_outlive_the_functions_that_borrow_them():
    @njit
    def many(rows, calls):
        held = np.empty((calls, 3))
        for call in range(calls):
            made = np.zeros((2, 3))
            held[call, 0] = add_to(made[0], 1.0) + add_to(made, 1.0)
            held[call, 1:] = add_to(rows[call % rows.shape[0]], 0.0)
        return held

    rows = np.arange(6.0).reshape(2, 3)
    found = many(rows, 1000)
    assert (found[:, 0] == 12.0).all()
    assert found[:2, 1].tolist() == [3.0, 12.0]
    assert rows.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


@pytest.mark.parametrize("unsound", [sum_of_made, rest_of])
def test_numba_refuses_a_borrowing_function_that_makes_an_array_or_hands_a_view_back(unsound):
    @njit
    def borrow(row):
        return unsound(row)

    with pytest.raises(NumbaError):
        borrow(np.zeros(3))
