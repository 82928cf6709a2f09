"""What a computation may take of the machine's memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from homfem import limits
from homfem.limits import MemoryLimitError, memory_limit, readable, require_memory
from homfem.parameters import InputError, VariableError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64 GB", 64e9), ("500MB", 5e8), ("9 kB", 9e3), ("1e3 B", 1e3), (" 2 TB ", 2e12),
        ("3 MiB", 3 * 2**20), ("1.5 GiB", 1.5 * 2**30), ("2TiB", 2 * 2**40), ("1e400 GB", 2.0**62),
    ],
)  # fmt: skip
def test_the_environment_sets_the_limit(monkeypatch: pytest.MonkeyPatch, text: str, size: float) -> None:
    monkeypatch.setenv(limits.VARIABLE, text)
    assert memory_limit() == pytest.approx(size, rel=1e-15)


@pytest.mark.parametrize("text", ["much", "64", "-1 GB", "0 GB", "GB", "1 kiB", "64 GB or so"])
def test_what_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(limits.VARIABLE, text)
    with pytest.raises(InputError, match=r"HOMFEM_MEMORY = .*such as '64 GB'"):
        memory_limit()


def test_without_it_the_limit_is_a_part_of_the_machine_or_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(limits.VARIABLE, raising=False)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(limits, "_of_container", list)
    assert memory_limit() == pytest.approx(0.7 * machine)
    monkeypatch.setattr(limits, "_of_container", lambda: [1e6])
    assert memory_limit() == pytest.approx(0.7e6)


def test_the_limit_of_a_container_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("2000000\n")
    (tmp_path / "none").write_text("max\n")
    names = (str(tmp_path / "one"), str(tmp_path / "none"), str(tmp_path / "missing"))
    monkeypatch.setattr(limits, "_CONTAINER", names)
    assert limits._of_container() == [2e6]


@pytest.mark.parametrize("needed", [1.01e9, math.inf, math.nan])
def test_what_is_too_large_is_refused_with_its_size_and_the_way_to_allow_it(
    monkeypatch: pytest.MonkeyPatch, needed: float
) -> None:
    monkeypatch.setenv(limits.VARIABLE, "1 GB")
    require_memory("resolution", 0.1, 1e9, "a mesh of 10 triangles")
    with pytest.raises(MemoryLimitError) as caught:
        require_memory("resolution", 0.1, needed, "a mesh of 10 triangles", "Choose a larger one.")
    size = "1.01 GB" if needed == 1.01e9 else "more than can be counted"
    assert str(caught.value) == (
        "resolution = 0.1: it must be one that fits into 1 GB of memory: a mesh of 10 triangles would take about "
        f"{size}. Choose a larger one. To allow more, set the environment variable HOMFEM_MEMORY, such as "
        "HOMFEM_MEMORY='64 GB'."
    )


def test_what_is_little_is_allowed_without_asking_the_machine_and_held_to_a_limit_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(limits.VARIABLE, raising=False)
    monkeypatch.setattr(limits, "_of_container", lambda: [1.0])
    require_memory("resolution", 0.1, 1e7, "a mesh")
    for needed in (1.01e7, math.nan):
        with pytest.raises(MemoryLimitError):
            require_memory("resolution", 0.1, needed, "a mesh")
    monkeypatch.setenv(limits.VARIABLE, "9 kB")
    with pytest.raises(MemoryLimitError):
        require_memory("resolution", 0.1, 1e4, "a mesh")
    monkeypatch.setenv(limits.VARIABLE, "much")
    with pytest.raises(VariableError):
        require_memory("resolution", 0.1, 1.0, "a mesh")


def test_sizes_are_readable() -> None:
    sizes = (12.0, 1500.0, 2.5e6, 16.24e9, 3e12, 5e15, 6e21)
    assert [readable(size) for size in sizes] == ["12 B", "1.5 kB", "2.5 MB", "16.2 GB", "3 TB", "5000 TB", "6e+09 TB"]
