"""Diffusion models: the forward process that adds noise, models that reverse it, and posteriors."""

from .conditioning import inpaint, posterior, super_resolve

__all__ = ["inpaint", "posterior", "super_resolve"]
