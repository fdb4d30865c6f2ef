"""Loops for other victim orders, one file each."""
