"""What a person at a terminal is shown of a ledger directory: a live screen, and the list of what was lost."""
