"""Peak memory and time of cells by patient, image, region and type on ten million rows.

Writes the same cells to two Parquet files, sorted by image and shuffled over all images, and runs
each step in a fresh process: importing alone, the counts by patient, image, region and cell type
that intensities are made of, the check of every cell, and the reading of every image one by one.
Peak memory is the high-water mark of the process (VmHWM). The counts must stay under 500 MB.

    python benchmarks/speed/cells_memory.py > benchmarks/speed/cells_memory.txt
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

LIMIT_MB = 500
STEPS = ("import", "counts", "check", "images")


def write_files(folder: Path, n_cells: int, n_images: int, n_patients: int) -> None:
    """Draw the cells and write them in two orders."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    image = np.sort(rng.integers(n_images, size=n_cells))
    columns = {
        "patient_id": pa.array([f"P{i * n_patients // n_images:03d}" for i in range(n_images)]),
        "image_id": pa.array([f"I{i:04d}" for i in range(n_images)]),
    }
    types = pa.array([f"type {i}" for i in range(10)])
    regions = pa.array(["centre", "front", "peritumour"])
    x, y = (rng.uniform(0, 1000, n_cells).astype(np.float32) for _ in range(2))
    kind, region = rng.integers(10, size=n_cells), rng.integers(3, size=n_cells)
    for name, order in (("sorted", None), ("shuffled", rng.permutation(n_cells))):
        writer = None
        for start in range(0, n_cells, 500_000):
            part = slice(start, start + 500_000)
            rows = np.arange(n_cells)[part] if order is None else order[part]
            table = pa.table(
                {key: values.take(pa.array(image[rows])) for key, values in columns.items()}
                | {"x": x[rows], "y": y[rows]}
                | {
                    "cell_type": types.take(pa.array(kind[rows])),
                    "region": regions.take(pa.array(region[rows])),
                }
            )
            writer = writer or pq.ParquetWriter(
                folder / f"{name}.parquet", table.schema, compression="zstd"
            )
            writer.write_table(table, row_group_size=100_000)
        writer.close()


def peak_mb() -> float:
    """Return the high-water mark of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(step: str, path: str) -> dict[str, float]:
    """Run one step in this process."""
    started, worked = time.perf_counter(), time.process_time()
    from times_stats import tables

    names = ("open_cells", "count_cells", "check_cells", "iterate_images")
    open_cells, count_cells, check_cells, iterate_images = (getattr(tables, n) for n in names)
    result = 0.0
    if step != "import":
        started, worked = time.perf_counter(), time.process_time()
        source = open_cells(path, duplicates="keep")
        if step == "counts":
            counts = count_cells(source)
            result = float((counts["n_cells"] * (np.arange(len(counts)) % 97)).sum())
        elif step == "check":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = float(check_cells(source).n_cells)
        else:
            result = float(sum(cells.points.sum() for cells in iterate_images(source)))
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - worked,
        "peak": peak_mb(),
        "result": result,
    }


def main() -> int:
    """Print the table; return 1 if the counts take more memory than they may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000_000)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--measure", nargs=2, metavar=("STEP", "FILE"))
    parser.add_argument("--write", metavar="FOLDER")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return 0
    if options.write:
        write_files(Path(options.write), options.cells, options.images, options.patients)
        return 0
    worst = 0.0
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    size = [f"--cells={options.cells}", f"--images={options.images}"]
    size.append(f"--patients={options.patients}")
    print(
        f"{options.cells} cells, {options.images} images, {options.patients} patients, 10 types; "
        f"load of the machine before {load:.1f}"
    )
    print(f"{'rows':>9} {'step':>7} {'seconds':>8} {'CPU s':>6} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--write", folder, *size], check=True)
        results: dict[str, set[float]] = {}
        for rows in ("shuffled", "sorted"):
            for step in STEPS:
                path = str(Path(folder) / f"{rows}.parquet")
                command = [sys.executable, __file__, "--measure", step, path]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found = json.loads(done.stdout)
                times = f"{found['seconds']:8.2f} {found['cpu']:6.2f}"
                print(f"{rows:>9} {step:>7} {times} {found['peak']:8.0f}", flush=True)
                results.setdefault(step, set()).add(found["result"])
                worst = max(worst, found["peak"] if step == "counts" else 0.0)
    alike = all(len(values) == 1 for values in results.values())
    print(f"same results in both orders of rows: {'yes' if alike else 'no'}")
    met = "met" if worst < LIMIT_MB else "missed"
    print(f"counts under {LIMIT_MB} MB: {met}")
    return 0 if alike and worst < LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
