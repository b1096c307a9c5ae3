"""Killing real processes at random moments and checking the books.

Run by tests/test_torture.py, or by hand:

python -m tests.torture.applications --kills 10000
python -m tests.torture.bookkeepers --kills 10000
"""
