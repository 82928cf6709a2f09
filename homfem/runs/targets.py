"""Where the commands write: checked before the work begins, and apart from what they read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from homfem.parameters import FileError

Named = tuple[str, Path]
"""A file, and the option or key that names it."""

# What lies beside a file that describes it, under the same name.
_DATA = {
    ".xdmf": (".h5", ".hdf5"),
    ".mhd": (".raw", ".zraw"),
    ".nhdr": (".raw", ".raw.gz"),
    ".hdr": (".img", ".img.gz"),
    ".img": (".hdr",),
}


def check_target(option: str, path: str | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that could not be written at the end, before the work begins."""
    if path is None or path == "-":
        return
    target = Path(path)
    try:
        os.stat(target)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # a name that no file can have
        said = error.strerror if isinstance(error, OSError) else error
        raise FileError(option, path, "a file that can be written", f"{said}.") from error
    drawn = option == "--figure"  # the others are named by their suffix as it stands
    if suffixes and (target.suffix.lower() if drawn else target.suffix) not in suffixes:
        raise FileError(option, path, "a name that ends in " + " or ".join(suffixes))
    if not target.parent.is_dir():
        raise FileError(option, path, "in a folder that exists", "Make the folder first.")
    folder = ".bp" in suffixes and target.suffix == ".bp"
    if folder and target.is_dir():
        # ADIOS2 writes folders: over one of its own, never over another.
        if any(target.iterdir()) and not (target / "md.idx").is_file():
            raise FileError(option, path, "a new name, or that of a .bp folder")
        return
    if target.is_dir() or (folder and target.exists()):
        raise FileError(option, path, "a file that can be written" if target.is_dir() else "no file, but a folder")
    try:
        _try_to_write(target)
    except OSError as error:
        raise FileError(option, path, "a file that can be written", f"{error.strerror}.") from error


def _try_to_write(target: Path) -> None:
    """Open a file to append nothing, or make a new one beside it and take it away; a device or a pipe is let be."""
    if target.is_file():
        with open(target, "ab"):
            return
    if not target.exists():
        trial = Path(os.path.realpath(target)).with_name(f".homfem-{os.getpid()}.part")
        trial.touch()
        trial.unlink()


def keep_apart(outputs: Iterable[Named], inputs: Iterable[Named]) -> None:
    """Refuse an output onto a file that is read, or onto another output.

    Files are the same by what they are on disk, not by their names: links and other spellings do not hide them.

    Raises
    ------
    FileError
        With the option of the output, its path, and what it would overwrite.
    """
    written = [(option, path) for option, path in outputs if str(path) != "-"]
    read = [named for entry in inputs for named in with_data(*entry)]
    for number, (option, path) in enumerate(written):
        for key, other in read:
            if _same(path, other):
                raise FileError(option, str(path), f"another file than {key}, which is read")
        for earlier, other in written[:number]:
            if earlier != option and _same(path, other):
                raise FileError(option, str(path), f"another file than {earlier}, which is written too")


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        # Devices, such as /dev/null, take what they are given.
        return os.path.samefile(one, other) and (one.is_file() or one.is_dir())
    return os.path.realpath(one) == os.path.realpath(other)


def with_data(key: str, path: Path) -> list[Named]:
    """A file that is read, and those that are read with it: its data, or what a script of Gmsh names."""
    found = [path, *(path.with_suffix(suffix) for suffix in _DATA.get(path.suffix.lower(), ()))]
    if path.suffix.lower() == ".geo" and path.is_file():
        names = re.findall(r'"([^"\n]{1,255})"', path.read_bytes().decode("latin-1"))
        found += [path.parent / name for name in names]
    return [(key, file) for file in found if os.path.isfile(file)]


def with_derived(option: str, path: str | None) -> list[Named]:
    """An output and the files that are written beside it, as its suffix says."""
    if path is None:
        return []
    target = Path(path)
    beside: Mapping[str, tuple[str, ...]] = {
        ".xdmf": (f"{target.stem}.h5", f"{target.stem}_facets.xdmf", f"{target.stem}_facets.h5"),
    }
    names = list(beside.get(target.suffix, ()))
    if option == "--save":
        names += [f"{target.name}.json", f"{target.name}.slivers.npz"]
    else:
        further = {"--figure": ("pressure", "flux"), "--fields": ("pressure",)}
        names += [f"{target.stem}_{name}{target.suffix}" for name in further.get(option, ())]
    return [(option, target), *((option, target.with_name(name)) for name in names)]
