"""Texts as vectors in an engine's child: who computes them, in which layout, and how that is found."""
