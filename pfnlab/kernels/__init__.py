"""Compiled code, and the only importer of numba. Callers check everything before they call."""
