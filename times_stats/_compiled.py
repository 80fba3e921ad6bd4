"""Loops that numba compiles once and keeps on disk.

A compiled function calls only compiled functions of its own module: numba renews a kept function
when its own file changes, not when the file of a function it calls does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba


def compiled[F: Callable[..., Any]](function: F) -> F:
    """Compile a loop over arrays at its first call, and keep the machine code on disk.

    Division by zero gives infinity or NaN, as in NumPy; no floating-point shortcuts are taken, so
    that a result does not depend on how the loop was compiled.

    Parameters
    ----------
    function : callable
        Plain loops over arrays and numbers.

    Returns
    -------
    callable
        The compiled function; it releases the interpreter lock.

    Examples
    --------
    >>> import numpy as np
    >>> @compiled
    ... def total(values):
    ...     found = 0.0
    ...     for value in values:
    ...         found += value
    ...     return found
    >>> total(np.array([1.0, 2.5]))
    3.5
    """
    compile_ = numba.njit(cache=_is_kept(function), nogil=True, error_model="numpy")
    return cast("F", compile_(function))


def _is_kept(function: Callable[..., Any]) -> bool:
    """Tell whether the function stands in a file of its own, next to which code can be kept."""
    return not function.__code__.co_filename.startswith("<")
