"""The manifest of a model folder: which files belong to it, and the hash of each."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from times_stats import __version__
from times_stats._checks import name_rows
from times_stats.errors import InputError, ModelFileError
from times_stats.model_files.plain_json import parse_json

MANIFEST = "manifest.json"
FORMAT = "times_stats manifest"
FORMAT_VERSION = 1
_MOST_FILES = 20_000
_MOST_BYTES = 8 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def write_manifest(directory: str | os.PathLike[str]) -> Path:
    """Write ``manifest.json``: size and sha256 of every file of a folder.

    Parameters
    ----------
    directory : path
        Folder of a finished model; sub-folders are included.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    InputError
        If the folder is missing or holds a symbolic link.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("x")
    >>> write_manifest(folder).name, sorted(check_manifest(folder))
    ('manifest.json', ['a.txt'])
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the folder of a model")
    files = {
        name: {"size": (folder / name).stat().st_size, "sha256": _hash(folder / name)}
        for name in _present(folder)
    }
    text = json.dumps(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "package_version": __version__,
            "files": files,
        },
        indent=1,
    )
    path = folder / MANIFEST
    path.write_text(text, encoding="utf-8")
    return path


def check_manifest(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Check that a folder holds exactly the files of its manifest, unaltered.

    The hashes find damage, not malice: whoever alters a file can write a new manifest, so files
    are checked in themselves as well before they are used.

    Parameters
    ----------
    directory : path

    Returns
    -------
    dict of str to str
        sha256 of each file by its relative name.

    Raises
    ------
    ModelFileError
        A missing folder, manifest or file; a file too many, altered, or outside the folder;
        symbolic links; an unknown format.
    """
    folder = Path(directory)
    source = str(folder)
    if not folder.is_dir():
        raise ModelFileError("no such folder: give the folder of a saved model", source=source)
    manifest = folder / MANIFEST
    if manifest.is_symlink() or not manifest.is_file():
        raise ModelFileError(f"no {MANIFEST} in the folder: save the model again", source=source)
    document = parse_json(read_capped(manifest, _MOST_BYTES), source=str(manifest))
    files = _listed(document, str(manifest))
    present = set(_present(folder))
    missing, extra = sorted(set(files) - present), sorted(present - set(files))
    if missing:
        raise ModelFileError(
            f"file missing: {name_rows(missing)}: copy the whole folder", source=source
        )
    if extra:
        raise ModelFileError(
            f"file not in the manifest: {name_rows(extra)}: remove it or save the model again",
            source=source,
        )
    for name, (size, digest) in files.items():
        path = folder / name
        if path.stat().st_size != size or _hash(path) != digest:
            raise ModelFileError(
                f"file altered since it was saved: {name}: copy the folder again", source=source
            )
    return {name: digest for name, (_, digest) in files.items()}


def read_listed(directory: Path, name: str, digest: str | None, *, most_bytes: int) -> bytes:
    """Read a file of a checked folder, comparing the very bytes returned with their hash.

    Parameters
    ----------
    directory : Path
    name : str
        Relative name in the manifest.
    digest : str or None
        Its sha256; None where the manifest does not list the file.
    most_bytes : int
        Size cap.

    Returns
    -------
    bytes

    Raises
    ------
    ModelFileError
        If the file is not listed, too large, unreadable or altered.
    """
    if digest is None:
        raise ModelFileError(f"file missing: {name}: copy the whole folder", source=str(directory))
    raw = read_capped(directory / name, most_bytes)
    if hashlib.sha256(raw).hexdigest() != digest:
        raise ModelFileError(f"file altered since it was saved: {name}", source=str(directory))
    return raw


def read_capped(path: Path, most_bytes: int) -> bytes:
    """Read a regular file of at most so many bytes.

    Parameters
    ----------
    path : Path
    most_bytes : int

    Returns
    -------
    bytes

    Raises
    ------
    ModelFileError
        If it is larger, no regular file, or cannot be read.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise ModelFileError("no regular file", source=str(path))
        with path.open("rb") as stream:
            raw = stream.read(most_bytes + 1)
    except OSError as error:
        raise ModelFileError(f"cannot be read ({error.strerror})", source=str(path)) from error
    if len(raw) > most_bytes:
        raise ModelFileError(f"larger than {most_bytes} bytes: no model file is", source=str(path))
    return raw


def _listed(document: Any, source: str) -> dict[str, tuple[int, str]]:
    keys = {"format", "format_version", "package_version", "files"}
    if not isinstance(document, dict) or set(document) != keys or document["format"] != FORMAT:
        raise ModelFileError("this is no manifest of times_stats", source=source)
    if type(document["format_version"]) is not int or document["format_version"] != FORMAT_VERSION:
        raise ModelFileError(
            f"manifest of another format version (this package reads {FORMAT_VERSION}): save the "
            "model with this version",
            source=source,
        )
    files = document["files"]
    if not isinstance(files, dict) or len(files) > _MOST_FILES:
        raise ModelFileError("the list of files is damaged", source=source)
    listed = {}
    for name, entry in files.items():
        parts = PurePosixPath(name).parts
        plain = bool(name) and "\\" not in name and "\0" not in name and ":" not in name
        if not plain or name.startswith("/") or ".." in parts or str(PurePosixPath(name)) != name:
            raise ModelFileError(
                f"the manifest names a file outside its folder: {name!r}", source=source
            )
        if (
            not isinstance(entry, dict)
            or set(entry) != {"size", "sha256"}
            or type(entry["size"]) is not int
            or not isinstance(entry["sha256"], str)
            or not _SHA256.fullmatch(entry["sha256"])
        ):
            raise ModelFileError(f"damaged entry of {name!r}", source=source)
        listed[name] = (entry["size"], entry["sha256"])
    return listed


def _present(folder: Path) -> list[str]:
    names = []
    for where, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            path = Path(where, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise ModelFileError(
                    f"symbolic link: {relative}: copy the file", source=str(folder)
                )
            if path.is_dir() or relative == MANIFEST:
                continue
            if not path.is_file():
                raise ModelFileError(f"no regular file: {relative}", source=str(folder))
            names.append(relative)
    return sorted(names)


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
