"""Watch it learn: gradient, optimiser, update, again, and what each layer does on the way."""
