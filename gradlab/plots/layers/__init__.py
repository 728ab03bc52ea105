"""Figures of the layers of networks: how a gradient travels, and how fast."""
