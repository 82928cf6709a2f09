"""What signals ask of a run, and that they mean what they meant after it."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress

import pytest

from homfem.signals import interruptible

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def handlers():
    """Handlers of this test's own, one for each signal, that do nothing."""
    own = [lambda number, frame: None for _ in SIGNALS]
    before = [signal.signal(number, handler) for number, handler in zip(SIGNALS, own, strict=True)]
    yield own
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("first", SIGNALS)
def test_a_signal_asks_and_a_second_sigint_interrupts(first, handlers):
    with interruptible() as asked:
        assert not asked()
        signal.raise_signal(first)
        assert asked()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_ignored(handlers):
    """A shell script starts its background jobs so: an interrupt of the script is not meant for them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible() as asked:
        signal.raise_signal(signal.SIGINT)
        assert not asked()
        signal.raise_signal(signal.SIGTERM)
        assert asked()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("error", [None, ValueError("inside"), KeyboardInterrupt()])
def test_signals_mean_what_they_meant_after_the_run(error, handlers):
    with suppress(ValueError, KeyboardInterrupt), interruptible():
        assert [signal.getsignal(number) for number in SIGNALS] != handlers
        if error is not None:
            raise error
    assert [signal.getsignal(number) for number in SIGNALS] == handlers


def test_other_threads_leave_the_signals_alone(handlers):
    answers = []

    def work():
        with interruptible() as asked:
            answers.append(asked())
            answers.append([signal.getsignal(number) for number in SIGNALS])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False, handlers]
