"""Threads for NumPy work, which lets go of Python's lock while it computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def thread_count() -> int:
    """The processors this process may use; OMP_NUM_THREADS, by which users share them out, wins."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(int(asked), 1) if asked.isdecimal() else available


def ordered_map(function: Callable[[T], U], items: Iterable[T], threads: int) -> Iterator[U]:
    """`map` on several threads, in order; at most `threads` items are in flight: a stream stays one."""
    source, waiting = iter(items), deque[Future[U]]()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in source:
                waiting.append(pool.submit(function, item))
                if len(waiting) == threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
