"""Cells measured on a Dask cluster of two workers: the same files, clear words where it fails."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import contextmanager
from subprocess import PIPE

import numpy as np
import pandas as pd
import pytest

from times_stats.__main__ import main
from times_stats.errors import InputError
from times_stats.features import CellPlan
from times_stats.features.measuring import measure_cells
from times_stats.pipeline import cluster
from times_stats.pipeline.cluster import working_on
from times_stats.tables.cell_opening import cells_from_frame

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None and os.environ.get("CI") != "true",
        reason="distributed is not installed",
    ),
]

STUDY = """
[cells]
path = "cells.parquet"
tumour = ["CK"]
[regions]
invasive_front = [-50, 50]
peritumour = false
[features]
radii = [10, 20, 30]
"""


# A cluster in a process of its own, as users have it, leaves nothing behind in this one.
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    workers = int(sys.argv[1])
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as c:
        print(c.scheduler_address, flush=True)
        sys.stdin.read()
"""


@contextmanager
def cluster_of(n_workers, folder):
    script = folder / "cluster.py"
    script.write_text(CLUSTER)
    command = [sys.executable, str(script), str(n_workers)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=folder) as running:
        try:
            yield running.stdout.readline().strip()
        finally:
            running.stdin.close()
            running.wait(60)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    with cluster_of(2, tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(3)
    parts = []
    for k in range(14):
        xy = rng.uniform(0, 400, (400 + 10 * k, 2))
        kind = np.where(xy[:, 0] < 200, "CK", "stroma")
        kind = np.where(rng.random(len(xy)) < 0.3, "CD8", kind)
        names = {"patient_id": f"p{k // 2}", "image_id": f"i{k:02d}"}
        parts.append(pd.DataFrame({**names, "x": xy[:, 0], "y": xy[:, 1], "cell_type": kind}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    cells.to_parquet(folder / "cells.parquet", index=False)
    (folder / "study.toml").write_text(STUDY)
    return folder / "study.toml"


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_are_those_of_one_machine(jobs, ending, scheduler, study, tmp_path, capsys):
    for folder, words in (("here", ["--jobs", "1"]), ("there", ["--dask", scheduler])):
        (tmp_path / folder).mkdir()
        out = tmp_path / folder / f"f.{ending}"
        assert main(["features", str(study), "--out", str(out), "--jobs", jobs, *words]) == 0
    assert "error" not in capsys.readouterr().err
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == sorted([f"f.{ending}", "f.cells.csv", "f.images.csv"])
    for name in names:
        here, there = (tmp_path / folder / name for folder in ("here", "there"))
        assert here.read_bytes() == there.read_bytes(), name


def test_the_work_is_done_by_the_workers(scheduler, cells):
    from joblib import Parallel, delayed

    with working_on(scheduler):
        found = list(Parallel(return_as="generator")(delayed(os.getpid)() for _ in range(20)))
    assert os.getpid() not in found
    assert 1 <= len(set(found)) <= 2


def test_faults_of_cells_and_of_workers_come_back(scheduler, cells, monkeypatch):
    plan = CellPlan(tumour=("CK",), window="rectangle")
    with working_on(scheduler):
        with pytest.raises(InputError, match="column 'x' is missing for 1 cell of image i00"):
            measure_cells(
                cells_from_frame(cells.assign(x=cells["x"].mask(cells.index == 0))), plan=plan
            )
        # A fault that only the measuring itself can find.
        monkeypatch.setattr("times_stats.features.measuring._check_tumour_regions", lambda *_: None)
        column = CellPlan(tumour=("CK",), source="column", tumour_regions=("Tumor",))
        with pytest.raises(InputError, match="the cells have no region column") as caught:
            measure_cells(cells_from_frame(cells), plan=column)
        assert len(caught.value.faults) == 1


def test_cluster_without_a_worker_is_one_clear_line(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with cluster_of(0, tmp_path) as idle:
        words = ["--out", str(tmp_path / "f.csv"), "--dask", idle]
        assert main(["features", str(study), *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].endswith("has no worker after 1 seconds: start workers")
    assert not (tmp_path / "f.csv").exists()


UNREACHABLE = """
import sys
from times_stats.__main__ import main
from times_stats.pipeline import cluster

cluster._PATIENCE = 1
sys.exit(main(["features", sys.argv[1], "--out", "f.csv", "--dask", "tcp://127.0.0.1:9"]))
"""


def test_cluster_that_does_not_answer_is_one_clear_line(study, tmp_path):
    command = [sys.executable, "-c", UNREACHABLE, str(study)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()
    assert len(said) == 1
    assert "--dask tcp://127.0.0.1:9 cannot be reached (Timed out trying to " in said[0]
    assert list(tmp_path.iterdir()) == []
