"""Names are data: what a person calls a network may hold quotes, spaces and keywords, and becomes an identifier here."""

from __future__ import annotations

import json
from hashlib import sha256

LONGEST = 120
"""Characters of a name that are kept; longer ones end with a hash."""


def mangled(name: str) -> str:
    """A name in letters, digits and underscores; different names stay different. It is meant to stand behind a prefix.

    >>> mangled("fc1"), mangled("fc_1"), mangled("fc 1")
    ('fc1', 'fc__1', 'fc_x20_1')
    """
    text = "".join(c if c.isascii() and c.isalnum() else "__" if c == "_" else f"_x{ord(c):x}_" for c in name)
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}_h{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def quoted(name: str) -> str:
    """A name as it may stand in a comment: one line of ASCII."""
    return json.dumps(name)
