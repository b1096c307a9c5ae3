"""The ledger: what one process has been handed, has begun and has ended, in a file that outlives it.

``layout`` is the format, ``file`` makes and locks the file, ``accounts`` writes it (the hot path),
``owner`` keeps it through fork, deletion and exit, ``reader`` reads it from any process.
"""
