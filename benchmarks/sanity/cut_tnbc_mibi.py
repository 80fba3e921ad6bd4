"""Cut the MIBI cells of 34 breast cancers down to the file the tests read.

x and y become whole numbers of 1/32 pixel (16 bits; off by 1/64 pixel, 6 nanometres, at most), rows
are sorted by patient, x and y, and nothing else is kept than what the test needs.

Run: python benchmarks/sanity/cut_tnbc_mibi.py CELLS_PARQUET tests/data/tnbc_mibi/cells.parquet
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PARTS_OF_A_PIXEL = 32


def main() -> None:
    """Read the cells, round and sort them, and write the small file."""
    cells = pd.read_parquet(sys.argv[1])
    for axis in ("x", "y"):
        cells[axis] = np.rint(cells[axis] * PARTS_OF_A_PIXEL).astype(np.uint16)
    cells["graph_label"] = cells["graph_label"].astype(np.uint8)
    cells = cells.sort_values(["patient_id", "x", "y", "cell_type"], ignore_index=True)
    table = pa.Table.from_pandas(
        cells[["patient_id", "x", "y", "cell_type", "graph_label"]], preserve_index=False
    )
    pq.write_table(
        table.replace_schema_metadata(None),
        sys.argv[2],
        compression="zstd",
        compression_level=19,
        use_dictionary=["patient_id", "cell_type", "graph_label"],
        column_encoding={"x": "DELTA_BINARY_PACKED", "y": "PLAIN"},
    )


if __name__ == "__main__":
    main()
