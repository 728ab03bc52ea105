"""Figures of theory, with measurements on it."""
