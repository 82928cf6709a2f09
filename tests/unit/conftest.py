"""Configs as files."""

from __future__ import annotations

import pytest

from made_configs import CELL, EFFECTIVE, WAVE


@pytest.fixture
def er(tmp_path):
    path = tmp_path / "er.toml"
    path.write_text(CELL + EFFECTIVE)
    return path


@pytest.fixture
def wave(tmp_path):
    path = tmp_path / "wave.toml"
    path.write_text(WAVE)
    return path
