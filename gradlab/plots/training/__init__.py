"""Figures of trainings: what each layer does, step by step."""
