"""Diffusion models: the forward process that adds noise, models that reverse it, and posteriors."""

from .conditioning import bayes_weights, closeness, inpaint, posterior, super_resolve

__all__ = ["bayes_weights", "closeness", "inpaint", "posterior", "super_resolve"]
