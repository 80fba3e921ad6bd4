"""More than one machine: the same joblib calls on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import joblib

from times_stats.errors import InputError

_PATIENCE = 30  # seconds to reach a scheduler, and for its workers to come


@contextmanager
def working_on(address: str | None) -> Iterator[None]:
    """Send the parallel work inside to a Dask cluster; on this machine where there is no address.

    Parameters
    ----------
    address : str or None
        Scheduler, such as ``tcp://host:8786``. Its workers need times_stats in the same version;
        cells are read on this machine and sent to them.

    Yields
    ------
    None

    Raises
    ------
    InputError
        If Dask is not installed, the cluster cannot be reached, or no worker comes.

    Examples
    --------
    >>> with working_on(None):
    ...     joblib.effective_n_jobs(1)
    1
    """
    if address is None:
        yield
        return
    if not address.strip():
        raise InputError("--dask is empty: name the scheduler, such as tcp://host:8786")
    try:
        from distributed import Client
        from distributed.comm import resolve_address
    except ImportError:
        raise InputError(
            "--dask needs Dask: install it with pip install 'times_stats[distributed]'"
        ) from None
    try:
        resolve_address(address)  # a client that fails at once may hang as it closes its loop
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"--dask {address} cannot be reached ({reason}): check it") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise InputError(
                f"--dask {address} has no worker after {_PATIENCE} seconds: start workers"
            ) from None
        with joblib.parallel_config("dask"):
            yield
