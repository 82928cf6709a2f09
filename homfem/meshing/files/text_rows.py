"""Rows of numbers in text files, read whole by NumPy; what is wrong in one of them is told with its line."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from homfem.parameters import FileError

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The lines of a text file that hold anything, with the number of words in each.

    Parameters
    ----------
    path
        The file, for messages.
    letters : array of uint8
        Its bytes.
    lines, counts : array of int
        Number of each line, from 1 on, and its words.
    starts : array of int
        Where the words begin.
    """

    path: Path
    letters: npt.NDArray[np.uint8]
    lines: Lines
    counts: Lines
    starts: Lines

    @classmethod
    def read(cls, path: Path, what: str) -> Rows:
        """Return the lines of a file.

        Raises
        ------
        FileError
            Where there is none, or nothing in it.
        """
        if not path.is_file():
            raise FileError("file", str(path), f"an existing file of {what}", "Check the path.")
        letters = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        blank = letters <= 32
        starts = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
        ends = np.concatenate([np.flatnonzero(letters == 10), [len(letters)]])
        counts = np.diff(np.concatenate([[0], np.searchsorted(starts, ends)]))
        lines = np.flatnonzero(counts)
        if not len(lines):
            raise FileError("file", str(path), f"a file of {what}", "It is empty.")
        return cls(path, letters, lines + 1, counts[lines], starts)

    def refuse(self, row: int, allowed: str, remedy: str = "") -> FileError:
        """Return the error of a row: with its line and what stands there."""
        line = int(self.lines[row])
        first = int(self.starts[int(self.counts[:row].sum())])
        text = bytes(self.letters[first : first + 80]).split(b"\n")[0].decode(errors="replace").strip()
        return FileError("file", str(self.path), f"{allowed}; line {line} is {text!r}", remedy)

    def word(self, row: int, number: int = 0) -> str:
        """Return a word of a row."""
        first = int(self.starts[int(self.counts[:row].sum()) + number])
        return bytes(self.letters[first : first + 40]).split()[0].decode(errors="replace")

    def header(self, allowed: str) -> int:
        """Return the whole number that is alone on the first line."""
        word = self.word(0)
        if self.counts[0] != 1 or not re.fullmatch(r"\d{1,12}", word):
            raise self.refuse(0, allowed)
        return int(word)

    def after(self, row: int) -> Rows:
        """Return the rows from one on."""
        skipped = int(self.counts[:row].sum())
        return Rows(self.path, self.letters, self.lines[row:], self.counts[row:], self.starts[skipped:])

    def require(self, count: int, words: tuple[int, ...], what: str) -> int:
        """Return how many words each row has; refuse rows with others, and more or fewer rows than there should be."""
        if len(self.lines) < count:
            allowed = f"a file of {count} {what}, as its first line says"
            raise FileError("file", str(self.path), allowed, f"It has {len(self.lines)}: is it cut short?")
        allowed = f"a file of {what} with {' or '.join(map(str, words))} words in each line"
        if count and int(self.counts[0]) not in words:
            raise self.refuse(0, allowed)
        same = self.counts[:count] == (self.counts[0] if count else 0)
        if not same.all():
            number = int(self.counts[0])
            raise self.refuse(int(np.argmin(same)), f"a file of {what} with {number} words in each line, as the first")
        if len(self.lines) > count:
            raise self.refuse(count, f"a file of {count} {what}, as its first line says")
        return int(self.counts[0]) if count else words[0]

    def numbers(self, kind: Any, without: int = 0) -> npt.NDArray[Any]:
        """Return the numbers of all rows, which have the same count of words, less some words at the start of each.

        Raises
        ------
        FileError
            With the line of a word that is no number.
        """
        offset, each = self.starts[0], int(self.counts[0])
        letters = self.letters[offset:].copy()
        letters[(letters <= 32) & (letters != 10)] = 32
        if without:
            for k in range(without):
                place = self.starts[k::each] - offset
                while len(place):
                    letters[place] = 32
                    place = place[place + 1 < len(letters)] + 1
                    place = place[letters[place] > 32]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DeprecationWarning)  # a whole number that is written as another one
                return np.loadtxt(io.BytesIO(letters.tobytes()), dtype=kind, ndmin=2, comments=None)
        except (ValueError, OverflowError, DeprecationWarning) as error:
            words = letters.tobytes().split()
            bad = next((k for k, word in enumerate(words) if not _is_number(word, kind)), 0)
            row = min(bad // max(each - without, 1), len(self.lines) - 1)
            raise self.refuse(row, f"a file of {'whole ' * (kind is np.int64)}numbers") from error


def _is_number(word: bytes, kind: Any) -> bool:
    try:
        return abs(int(word)) < 2**63 if kind is np.int64 else isinstance(float(word), float)
    except ValueError:
        return False
