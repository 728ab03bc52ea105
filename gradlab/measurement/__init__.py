"""What is read off a backward pass."""
