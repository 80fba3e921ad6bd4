"""The error of a game that this sample cannot carry, though the request is sound."""

from __future__ import annotations

from times_stats.errors import InputError


class UnplayableError(InputError):
    """A model or a metric that does not exist on this sample of patients.

    Apart from other faults of the input, so that refitted resamples pass over it and nothing else.

    Parameters
    ----------
    fault : str
        What is wrong, and the remedy.
    reason : str
        The kind of failure in a few words, to count by.
    """

    def __init__(self, fault: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(fault)
