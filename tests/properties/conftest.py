"""Hypothesis profile: no deadline (shared machines), the same examples every time."""

from hypothesis import settings

settings.register_profile("book", deadline=None, derandomize=True, max_examples=150)
settings.load_profile("book")
