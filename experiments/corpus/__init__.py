"""Models of which is known what is right to say: healthy ones, and broken ones with their fault and its layer."""
