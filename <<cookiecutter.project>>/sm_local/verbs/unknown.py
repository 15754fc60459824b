"""Say that make has no such verb, and which is nearest."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from ..errors import SmLocalError


def run(given: dict[str, str]) -> None:
    """Refuse the verb in SM_LOCAL_VERB, which make has no rule for."""
    name = os.environ.get("SM_LOCAL_VERB", "")
    verbs = re.findall(r"^([a-z-]+):.*## ", Path("Makefile").read_text(), re.MULTILINE)
    near = difflib.get_close_matches(name.lower(), verbs, 1, 0.5)
    hint = f"did you mean 'make {near[0]}'?" if near else "'make help' lists the verbs"
    raise SmLocalError(f"make knows no {name}; {hint}")
