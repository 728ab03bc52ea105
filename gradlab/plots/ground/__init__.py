"""What all figures stand on: axes, looks, words, captions, legends, tables. No file here draws a figure."""
