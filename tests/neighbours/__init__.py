"""A program that hands over work in every way there is and tells what its own code saw.

python -m tests.neighbours --neighbour sentry --afterword second

Run by tests/test_neighbours.py and tests/test_neighbours_long.py with and without afterword, beside other
instrumentations, on both event loops: what it tells may not change. It imports neither afterword nor a
neighbour unless asked, and nothing else of these tests.
"""
