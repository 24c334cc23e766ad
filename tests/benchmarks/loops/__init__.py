"""Loops over the libraries alone, without SAM: what it is measured against."""
