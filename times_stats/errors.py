"""Errors and warnings of the package: what went wrong, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence


class TimesStatsError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(TimesStatsError, ValueError):
    """Input that cannot be analysed; the message lists every fault found.

    Parameters
    ----------
    faults : str or sequence of str
        One sentence per fault: what is wrong, where (column, rows), and the remedy.
    source : str, optional
        File or table the faults were found in.

    Attributes
    ----------
    faults : tuple of str
        The faults, one sentence each.
    """

    def __init__(self, faults: str | Sequence[str], *, source: str | None = None) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        self.source = source
        text = "; ".join(self.faults)
        super().__init__(f"{source}: {text}" if source else text)


class ModelFileError(InputError):
    """A saved model that is damaged, truncated, altered or of another version."""


class NotBuiltError(TimesStatsError):
    """A part of the design that this version does not have yet.

    Parameters
    ----------
    name : str
        Public name that was asked for.
    part : str
        Part of the design it belongs to.
    """

    def __init__(self, name: str, part: str) -> None:
        self.name, self.part = name, part
        super().__init__(name, part)

    def __str__(self) -> str:
        return (
            f"{self.name} is not built yet ({self.part}); "
            "see the CHANGELOG for what this version holds"
        )


class TimesStatsWarning(UserWarning):
    """Base of the warnings of this package."""


class DataWarning(TimesStatsWarning):
    """The data allow the analysis but limit what it can say."""


class ConvergenceWarning(TimesStatsWarning):
    """A fit ended without meeting its convergence criteria."""
