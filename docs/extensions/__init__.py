"""What the site makes of the code before Sphinx reads its pages."""
