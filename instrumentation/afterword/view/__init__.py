"""What a person is shown: the books, single runs, bad endings and a verdict; the same on page, API and terminal."""
