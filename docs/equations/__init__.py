"""The notes' equations as a table: one file for each section, one function for each equation."""
