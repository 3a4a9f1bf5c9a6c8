"""Public names of projects: short enough to read out, and never to be misread."""

import secrets

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ"
ALPHABET = LETTERS + "23456789"
"""Without I, L, O, 0 and 1, which look like one another."""

LENGTH = 8


def new_identifier() -> str:
    """A letter, then letters and digits, drawn by chance: 6 · 10¹¹ of them, so a clash is rare and tried again."""
    return secrets.choice(LETTERS) + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1))
