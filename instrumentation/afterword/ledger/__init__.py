"""The ledger: what one process has been handed, has begun and has ended, in a file that outlives it.

``layout`` is the format, ``file`` makes and locks the file, ``accounts`` and ``slots`` write it (the
hot path), ``open_ledger`` is one open file, ``owner`` keeps this process's through fork, deletion
and exit, ``reader`` reads one from any process.
"""
