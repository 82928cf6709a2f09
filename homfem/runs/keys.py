"""The keys of a config in the errors of the library calls that they become."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from homfem.config.table import join, renamed
from homfem.parameters import CheckpointError, InputError

#: The path of a key as it stands.
_WHOLE = re.compile(r"(cell|effective|macro)(\.|$)")


@contextmanager
def keys_under(path: str, keys: Mapping[str, str] | None = None) -> Iterator[None]:
    """Give the errors of a library call the path of the key in the config.

    Parameters
    ----------
    path
        The table: with ``cell``, the argument ``edges`` is ``cell.edges``.
    keys
        Arguments whose key below ``path`` has another name, or is another one, such as ``macro.tensors.bath``.
    """
    try:
        yield
    except InputError as error:
        if isinstance(error, CheckpointError):  # it names a file, not a key
            raise
        name = re.sub(r"^expansions\['(.*?)'\]", r"phases.\1.expansion", error.name)
        name = re.sub(r"^(?:coefficients|stiffnesses)$", "phases", name)
        name = re.sub(r"^(?:coefficients|stiffnesses)(?:\['(.*?)'\]|\.)", r"phases.\1", name)
        if _WHOLE.match(name):
            raise
        head, dot, rest = name.partition(".")
        known = (keys or {}).get(name) or f"{(keys or {}).get(head, head)}{dot}{rest}"
        raise renamed(error, known if _WHOLE.match(known) else join(path, known)) from error
