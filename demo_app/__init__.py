"""A small shop whose background work fails in every way the outside world can think of, and the books that notice."""
