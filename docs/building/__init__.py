"""What Sphinx needs beyond its own: chapters, source views, the reference, search."""
