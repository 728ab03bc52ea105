"""Grids of networks: every network is computed once, kept, and resumed after an interruption."""
