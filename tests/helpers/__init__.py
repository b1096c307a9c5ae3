"""What several test files share: reading the books as a scraper does, waiting, real server processes."""

from tests.helpers.books import Books
from tests.helpers.environment import REQUIRE_REAL
from tests.helpers.places import ledger_directory
from tests.helpers.processes import Child, Children, free_port
from tests.helpers.waiting import until

__all__ = ["REQUIRE_REAL", "Books", "Child", "Children", "free_port", "ledger_directory", "until"]
