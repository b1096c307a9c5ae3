"""The live page: static files, served at ``/`` (``index.html``) and below ``/static/``."""

from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).parent
