"""A limit to the processor time of readers that may never end, as some of meshio do where a file is cut short."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

#: Seconds of processor time that reading may take, and the bytes that may come in one: slower than any reader is.
LEAST, BYTES_PER_SECOND = 3.0, 2e4


@contextmanager
def reading_limit(path: Path) -> Iterator[None]:
    """Raise ``TimeoutError`` in the body when it takes far more processor time than reading a file can take.

    Only in the main thread: elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    limit = LEAST + os.path.getsize(path) / BYTES_PER_SECOND

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"reading has not come to an end after {limit:.0f} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
