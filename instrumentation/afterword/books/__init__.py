"""The books: what all ledgers of a directory say together, the dead ones included.

``model`` is the law and the sums, ``carried`` what dead ledgers left behind, ``directory`` finds
ledgers, ``bookkeeper`` reads, books the dead and folds them away, ``watch`` notices a death.
"""
