"""Jobs on threads: results as they are finished, and a stop that loses none of them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

Answer = TypeVar("Answer")

#: Told of the events replayed since the last call, by every job, now and then; may raise.
Look = Callable[[int], None]


def in_threads(
    jobs: Sequence[Callable[[Look], Answer]], n_threads: int, look: Look
) -> Iterator[Answer]:
    """Yield the answers of jobs as they are finished; on Ctrl-C they stop at their next look."""
    if n_threads == 1:
        yield from (job(look) for job in jobs)
        return
    stopped = threading.Event()

    def stop_or_look(n_events: int) -> None:
        if stopped.is_set():
            raise InterruptedError("the sweep was stopped")
        look(n_events)

    with ThreadPoolExecutor(n_threads) as pool:
        running: set[Future[Answer]] = set()
        try:
            running = {pool.submit(job, stop_or_look) for job in jobs}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                # What is finished counts, and then what failed.
                yield from (future.result() for future in sorted(done, key=_failed))
        except KeyboardInterrupt:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            yield from (future.result() for future in running if not _failed(future))
            raise
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None
