"""Diffusion: the forward process, and the models that undo it."""
