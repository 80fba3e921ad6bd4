"""Lazy public names: importing the package loads no sampler, booster or plotting library."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from times_stats.errors import NotBuiltError


def _planned(name: str, part: str) -> Callable[..., NoReturn]:
    def not_built(*_args: object, **_kwargs: object) -> NoReturn:
        raise NotBuiltError(name, part)

    not_built.__name__ = not_built.__qualname__ = name.rpartition(".")[2]
    not_built.__doc__ = f"Not built yet ({part}): calling it raises `NotBuiltError`."
    return not_built


def attach(
    package: str, exports: Mapping[str, str], planned: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package with lazy public names.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    exports : mapping of str to str
        Public name to the full name of the module that defines it.
    planned : mapping of str to str, optional
        Name in the design to the part it belongs to; such a name is a function that raises
        `NotBuiltError` when called.

    Returns
    -------
    tuple of callable
        ``__getattr__`` and ``__dir__`` for the package module.
    """
    later = dict(planned or {})

    def __getattr__(name: str) -> Any:
        if name in exports:
            module = importlib.import_module(exports[name])
            return module if exports[name] == f"{package}.{name}" else getattr(module, name)
        if name in later:
            return _planned(f"{package}.{name}", later[name])
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(exports)

    return __getattr__, __dir__
