"""What may be handed to Gmsh: meshes that are data, and scripts that run and write nothing.

Gmsh takes a file whose beginning it does not know for a script, whatever its name, and reads the options ``FILE.opt``
beside it, a script too. Its scripts start programs, write files and read others.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homfem.parameters import FileError

#: Words of Gmsh's language by which a script starts programs, writes files or reads others, in small letters; those
#: that make names out of strings could spell any of them.
FORBIDDEN = frozenset({
    "systemcall", "system", "nonblockingsystemcall", "onelabrun", "onelabaction", "externalprocess", "commandline",
    "include", "merge", "mergewithboundingbox", "open", "openproject", "shapefromfile", "listfromfile", "getenv",
    "save", "print", "createdir", "plugin", "exit", "abort", "stringtoname", "s2n",
})  # fmt: skip
#: How a mesh in Gmsh's own format begins, of all versions, as text and binary.
_HEADS = (b"$MeshFormat", b"$NOD", b"$Comments")
#: Gmsh goes on inside a string that is longer than this as if it had ended.
_LONGEST_STRING = 1000
_PARTS = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*|\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)", re.S)
_WORDS = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_PRINTF = re.compile(r"\bprintf\b", re.I)
_TRUST = "If you know where it comes from: trust = true in [cell], trust=True in Python, --trust with --check."


def check_script(path: Path, *, trust: bool = False) -> None:
    """Refuse a ``.geo`` script that could do more than draw and mesh.

    Outside of comments and strings none of the words :data:`FORBIDDEN` may stand, in small or capital letters and in
    macros too, and no ``Printf`` that writes to a file. Names that are made of strings are refused as well.

    Parameters
    ----------
    path
        The script.
    trust
        Let it do what it wants.

    Raises
    ------
    FileError
        With the word and its line.
    """
    text = path.read_bytes().decode("latin-1")
    if '"' in str(path.resolve()) or not str(path.resolve()).isprintable():
        raise FileError("file", str(path), "a path without quotation marks and line breaks")
    if trust:
        return
    if "\0" in text:
        raise FileError("file", str(path), "a script of Gmsh, which is text without null characters")

    def blank(found: re.Match[str]) -> str:
        part = found[0]
        if part[0] in "\"'" and len(part) > _LONGEST_STRING:
            line = text.count("\n", 0, found.start()) + 1
            allowed = f"without strings of more than {_LONGEST_STRING} characters; line {line} has one"
            raise FileError("file", str(path), allowed)
        # A string stays in sight as an empty one, so that words do not grow together.
        return ('""' if part[0] in "\"'" else " ") + "\n" * part.count("\n")

    bare = _PARTS.sub(blank, text)
    found = next((match for match in _WORDS.finditer(bare) if match[0].lower() in FORBIDDEN), None)
    found = found or next((match for match in _PRINTF.finditer(bare) if _to_file(bare, match.end())), None)
    if found is not None:
        line = bare.count("\n", 0, found.start()) + 1
        word = found[0] if found[0].lower() in FORBIDDEN else "Printf to a file"
        allowed = f"a script that starts no programs, writes no files and reads no others; line {line} has {word}"
        raise FileError("file", str(path), allowed, _TRUST)


def _to_file(bare: str, start: int) -> bool:
    """Whether what follows a ``Printf`` in a script without strings is its arguments and then a file."""
    depth = 0
    for place in range(start, len(bare)):
        depth += {"(": 1, ")": -1}.get(bare[place], 0)
        if depth == 0 and bare[place] in ");":
            return bare[place + 1 :].lstrip().startswith(">")
    return True


def check_mesh_head(path: Path) -> None:
    """Refuse a ``.msh`` file that does not begin as a mesh: Gmsh would run it as a script.

    Raises
    ------
    FileError
        With how it begins.
    """
    with path.open("rb") as file:
        head = file.read(40)
    if not head.startswith(_HEADS):
        allowed = f"a mesh that Gmsh can read, which begins with $MeshFormat; it begins with {head[:24]!r}"
        remedy = "A script of Gmsh has the ending .geo." if head.strip() else "It is empty."
        raise FileError("file", str(path), allowed, remedy)


@contextmanager
def as_data(path: Path, suffix: str) -> Iterator[str]:
    """Give a name under which Gmsh reads a file as what ``suffix`` says, and finds no options beside it."""
    with tempfile.TemporaryDirectory(prefix="homfem-") as folder:
        name = Path(folder) / f"data{suffix}"
        name.symlink_to(path.resolve())
        yield str(name)
