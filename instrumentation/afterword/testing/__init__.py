"""For tests: whether every task that a test scheduled ended well.

With pytest the fixture ``afterword_books`` needs no line of set-up::

    def test_register(client, afterword_books):
        client.post("/register")
        afterword_books.assert_all_ended_well()

and without pytest it is a context manager::

    with afterword.testing.watch() as books:
        client.post("/register")
        books.assert_all_ended_well()

Nothing is imported but this package, and nothing is instrumented, before one of the two is used.
"""

from afterword.testing.books import Books
from afterword.testing.names import Tasks, UnknownTaskError
from afterword.testing.runs import Runs
from afterword.testing.watch import UnavailableError, watch

__all__ = ["Books", "Runs", "Tasks", "UnavailableError", "UnknownTaskError", "watch"]
