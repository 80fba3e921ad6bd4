"""The run folder: finished steps are kept until the run ends, so that a stopped run resumes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from times_stats.errors import InputError

STEPS = ".times_stats"
MARK = "provenance.json"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a neighbour of `path` to write to; it takes the place of `path` when all went well."""
    neighbour = path.with_name(f".{path.name}.part")
    try:
        yield neighbour
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)


def step_key(settings: Mapping[str, Any]) -> str:
    """Return one digest of everything a run depends on: data, settings, seed, versions."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class RunFolder:
    """Folder of one run, with the steps finished so far.

    Parameters
    ----------
    out : path
        Folder of the run; made when the first step ends. A folder with foreign files is refused.
    key : str
        Digest of data, settings, seed and versions. Steps kept under another key are removed.

    Attributes
    ----------
    resumed : list of str
        Steps taken over from an earlier, stopped run.
    """

    def __init__(self, out: str | os.PathLike[str], *, key: str) -> None:
        self.out = Path(out)
        self.resumed: list[str] = []
        self._steps = self.out / STEPS
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out} is a file; name a folder with --out")
        if self.out.is_dir() and any(self.out.iterdir()):
            ours = (self.out / MARK).exists() or self._steps.exists()
            if not ours:
                raise InputError(
                    f"{self.out} holds files of something else; name an empty or a new folder"
                )
        self._new = not self.out.exists()
        mark = self._steps / "key"
        if mark.exists() and mark.read_text() != key:
            shutil.rmtree(self._steps)
        self._steps.mkdir(parents=True, exist_ok=True)
        with replacing(mark) as part:
            part.write_text(key)

    def step[S, T](
        self,
        name: str,
        *,
        compute: Callable[[], S],
        write: Callable[[S, Path], None],
        read: Callable[[Path], T],
    ) -> T:
        """Compute a step, or read it where an earlier run of the same key had finished it.

        The result is always read back from the files, so that a resumed run and an
        uninterrupted one go on from the same numbers.

        Parameters
        ----------
        name : str
            Name of the step.
        compute : callable
            Makes the result.
        write, read : callable
            Store the result in a folder, and read it from there.

        Returns
        -------
        object
            What `read` returns.
        """
        folder = self._steps / name
        if folder.exists():
            self.resumed.append(name)
            return read(folder)
        part = self._steps / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        result = compute()
        part.mkdir()
        write(result, part)
        part.replace(folder)
        return read(folder)

    def discard(self) -> None:
        """Remove what this run has written: the input turned out to be bad."""
        shutil.rmtree(self.out if self._new else self._steps)

    def finish(self) -> None:
        """Remove the kept steps: the run is complete."""
        shutil.rmtree(self._steps)
