"""What signals ask of a long run: an end, or a checkpoint, in place of the end of the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType


class Request(IntEnum):
    """What signals ask of a run, the stronger the larger."""

    NOTHING = 0
    SAVE = 1
    STOP = 2


@contextmanager
def interruptible() -> Iterator[Callable[[], Request]]:
    """Let signals ask for an end instead of ending the process; the callable says what was asked since its last call.

    SIGINT, SIGTERM and SIGUSR1 ask for an end, and stay so; a second SIGINT interrupts at once. SIGCONT asks for a
    checkpoint: Open MPI sends it a quarter of a second before the SIGTERM that it follows with SIGKILL. SIGUSR1 is
    what ``mpirun`` hands on and then waits. What is ignored stays ignored (``nohup``, background jobs of shells).
    Outside the main thread signals keep their meaning.
    """
    asked = Request.NOTHING

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked == Request.STOP and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = max(asked, Request.SAVE if number == signal.SIGCONT else Request.STOP)

    def take() -> Request:
        nonlocal asked
        found = asked
        if found == Request.SAVE:
            asked = Request.NOTHING
        return found

    if threading.current_thread() is not threading.main_thread():
        yield lambda: Request.NOTHING
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCONT)
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handle) for number in heard}
    try:
        yield take
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
