"""Conversations on the command line: what was said, and the next question."""
