"""Births: since when a counter exists, so that the rules see a first event, also of a process nobody ever saw."""

import time
from collections import Counter
from pathlib import Path

from afterword import contract, words
from afterword.books import carried
from afterword.books.births import birth_key
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.carried import Carried
from afterword.books.model import ServiceBooks, Totals
from afterword.ledger import layout
from tests.helpers import Books
from tests.ledgers import SERVICE, account, close_file, key, owner

ROUTE = {"service": SERVICE, "route": "/register", "method": "POST"}


def died_at_once(directory: Path) -> None:
    """A process that ends with an error before anybody reads its ledger."""
    one = owner(directory)
    one.mark(layout.STATE_FAILED)
    close_file(one)


def born(books: Books, metric: contract.Metric, **labels: str) -> float:
    """The birth of one series, as a scraper sees it."""
    found = books.scrape(metric.created, **labels)
    assert found is not None, (metric.created, labels)
    return found


def test_a_process_that_lives_shorter_than_a_scrape_has_an_exit_that_is_new(directory, books):
    """Its first sample is 1: only the birth tells that this happened just now."""
    before = time.time()
    died_at_once(directory)
    assert books.scrape(contract.PROCESS_EXITS.sample, cause=words.EXIT_FAILED) == 1
    assert before <= born(books, contract.PROCESS_EXITS, service=SERVICE, cause=words.EXIT_FAILED) <= time.time()


def test_the_next_exit_of_a_known_service_is_not_its_birth(directory, books):
    """A service is born once; later deaths are seen as growth."""
    died_at_once(directory)
    first = born(books, contract.PROCESS_EXITS, cause=words.EXIT_FAILED)
    died_at_once(directory)
    assert books.scrape(contract.PROCESS_EXITS.sample, cause=words.EXIT_FAILED) == 2
    assert born(books, contract.PROCESS_EXITS, cause=words.EXIT_FAILED) == first
    assert born(Books(directory), contract.PROCESS_EXITS, cause=words.EXIT_CLEAN) == first


def test_bounds_and_own_errors_carry_their_birth(directory, books):
    """A bound that was hit before the first scrape is news, and so is an error inside afterword."""
    before = time.time()
    one = owner(directory)
    one.count_internal_error()
    one.set_word(layout.W_ROUTES_FULL, 3)
    close_file(one)
    assert books.scrape(contract.OVERFLOW.sample, bound="routes") == 3
    assert before <= born(books, contract.OVERFLOW, service=SERVICE, bound="routes") <= time.time()
    assert before <= born(books, contract.INTERNAL_ERRORS, service=SERVICE) <= time.time()


def test_what_a_route_schedules_carries_its_birth_and_that_of_what_it_misses(directory, books):
    """A task that a route begins to schedule today is told apart from one it has scheduled for years."""
    before = time.time()
    one = owner(directory)
    mail, view = account(one), one.ledger.context.words
    route = one.ledger.route("POST /register")
    link = one.ledger.link(route, mail)
    one.ledger.expect(link)
    view[route], view[link], view[link + 1] = 5, 4, 1
    close_file(one)
    assert books.scrape(contract.ROUTE_MISSED.sample, **ROUTE, task="mail") == 1
    assert before <= born(books, contract.ROUTE_SCHEDULED, **ROUTE, task="mail") <= time.time()


def test_what_an_earlier_release_carried_without_a_birth_is_no_news(directory):
    """Twenty deaths of last year are not told again because this release notes births and that one did not."""
    totals = Totals(services={SERVICE: ServiceBooks(exits=Counter(killed=20))})
    carried.save(directory, Carried(totals, {birth_key("known", key()): 1000.0}, {}))
    scan = Bookkeeper(directory).scan()
    assert scan.totals.service(SERVICE).exits == {words.EXIT_KILLED: 20}
    assert scan.born[birth_key("service", (SERVICE,))] == 1000.0
    assert Bookkeeper(directory).scan().born == scan.born
