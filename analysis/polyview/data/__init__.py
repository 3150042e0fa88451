"""Data sets made of what Debian packages."""
