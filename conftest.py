"""How the suite is shared between worker processes."""

from __future__ import annotations

import pytest

COMPILED = ("compiled_mspline", "compiled_options", "compiled_piecewise", "compiled_weibull")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Send tests of one compiled model to one worker, so that it is compiled once a session."""
    for item in items:
        used = [name for name in COMPILED if name in getattr(item, "fixturenames", ())]
        if used and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(used[0]))
