"""Diffusion models: the forward process that adds noise, and models that reverse it."""
