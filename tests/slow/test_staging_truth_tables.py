"""Every system against a slow rule, on all combinations of its grid."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from staging_grids import GRIDS, compare_grid

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("system", list(GRIDS))
def test_a_system_equals_its_slow_rule_everywhere(system):
    compare_grid(system)
