"""Loops for least-recently-allocated eviction."""
