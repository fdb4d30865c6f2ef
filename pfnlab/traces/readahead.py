"""Make the next items in a background thread while the last one is used."""

from collections.abc import Generator, Iterator
from contextlib import closing
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
#: Name of the thread.
READER = "pfnlab read-ahead"
#: An item, or None at the end; an error in its place.
Made = tuple[Item | None, BaseException | None]


def ahead(items: Generator[Item], n_items: int) -> Generator[Item]:
    """Yield `items`, at most `n_items` of which exist at once, the one in use among them.

    A generator that fills `n_items` buffers in turn may thus reuse them. What it raises is raised
    here. When this generator ends, fails or is dropped, `items` is closed and the thread is gone.
    """
    made: SimpleQueue[Made[Item]] = SimpleQueue()
    places: SimpleQueue[None] = SimpleQueue()
    dropped = Event()
    for _ in range(n_items):
        places.put(None)
    # A daemon, or a program that ends with a half-used generator in a global would wait for it.
    given = (items, made, places, dropped)
    thread = Thread(target=_make, args=given, name=READER, daemon=True)
    thread.start()
    try:
        yield from _taken(made, places)
    finally:
        dropped.set()
        places.put(None)
        thread.join()


def _taken(made: SimpleQueue[Made[Item]], places: SimpleQueue[None]) -> Iterator[Item]:
    while True:
        item, error = made.get()
        if error is not None:
            raise error
        if item is None:
            return
        yield item
        places.put(None)


def _make(
    items: Generator[Item],
    made: SimpleQueue[Made[Item]],
    places: SimpleQueue[None],
    dropped: Event,
) -> None:
    try:
        with closing(items):
            for item in _while_wanted(items, places, dropped):
                made.put((item, None))
        made.put((None, None))
    except BaseException as error:
        made.put((None, error))


def _while_wanted(
    items: Generator[Item], places: SimpleQueue[None], dropped: Event
) -> Iterator[Item]:
    places.get()
    while not dropped.is_set():
        try:
            item = next(items)
        except StopIteration:
            return
        yield item
        places.get()
