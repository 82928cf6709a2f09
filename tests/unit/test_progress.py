"""The log and the progress bar: rank 0 only, a bar only on a terminal."""

from __future__ import annotations

import io
import logging

import pytest

from homfem.progress import progress_bar, set_up_logging

log = logging.getLogger("homfem.something")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored():
    logger = logging.getLogger("homfem")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def speak():
    log.debug("detail")
    log.info("step")
    log.warning("short of %g", 0.5)


def test_warnings_alone_unless_asked_for_more(capsys):
    set_up_logging()
    speak()
    assert capsys.readouterr().err == "homfem: warning: short of 0.5\n"
    set_up_logging(verbose=True)
    speak()
    assert capsys.readouterr().err == "homfem: step\nhomfem: warning: short of 0.5\n"


@pytest.mark.filterwarnings("ignore")
def test_other_ranks_are_silent(capsys):
    set_up_logging(rank=1, verbose=True)
    speak()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_bar_on_a_terminal_moves_and_shows_the_last_message():
    set_up_logging()
    stream = Terminal()
    with progress_bar("calcium [um]", 4.0, stream=stream) as advance_to:
        log.info("load [1]: 12 iterations")
        advance_to(4.0)
    text = stream.getvalue()
    assert "calcium [um]" in text
    assert "load [1]: 12 iterations" in text
    before = len(text)
    log.info("later")
    assert len(stream.getvalue()) == before


@pytest.mark.parametrize(("stream", "rank"), [(io.StringIO(), 0), (Terminal(), 1)], ids=["no terminal", "rank 1"])
def test_no_bar_elsewhere(stream, rank):
    with progress_bar("calcium", 4.0, rank=rank, stream=stream) as advance_to:
        log.info("step")
        advance_to(2.0)
    assert stream.getvalue() == ""


def test_bar_goes_away_with_an_error():
    stream = Terminal()
    handlers = list(logging.getLogger("homfem").handlers)
    with pytest.raises(KeyError), progress_bar("cell", stream=stream):
        raise KeyError
    assert logging.getLogger("homfem").handlers == handlers
