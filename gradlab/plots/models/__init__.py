"""Figures of anyone's model: its diagnosis, its named layers."""
