"""First-order optimizers: the docstring of each states its update, which is done in place.

On CuPy an update is one kernel. On NumPy each operation is one pass over a block; the operations
are written in place, so that few of them allocate memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, fused
from .optimizer import Optimizer, checked


class SGD(Optimizer):
    """Gradient descent with momentum μ: u ← μ u + g,  θ ← θ − η u.

    With ``nesterov``, θ ← θ − η (g + μ u). The descent is plain if g is the gradient over all
    samples, and stochastic if it is that of a batch. Source: Sutskever et al. 2013, in the form of
    ``torch.optim.SGD``.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        momentum: float = 0,
        nesterov: bool = False,
        weight_decay: float = 0,
    ) -> None:
        self.momentum = checked("momentum", momentum, 0, 1)
        if nesterov and not momentum:
            raise ValueError("nesterov looks ahead along the momentum, and momentum is 0")
        self.nesterov = nesterov
        if momentum:
            self.state = ("u",)
        super().__init__(parameters, lr, weight_decay)

    def update(self, theta: Array, g: Array, *state: Array) -> None:
        """u ← μ u + g,  θ ← θ − η u."""
        if not state:
            _descend(theta, g, self.lr)
        for u in state:
            descend = _descend_looking_ahead if self.nesterov else _descend_with_momentum
            descend(theta, g, u, self.lr, self.momentum)


@fused
def _descend(theta: Array, g: Array, lr: float) -> None:
    theta -= lr * g


@fused
def _descend_with_momentum(theta: Array, g: Array, u: Array, lr: float, momentum: float) -> None:
    u *= momentum
    u += g
    theta -= lr * u


@fused
def _descend_looking_ahead(theta: Array, g: Array, u: Array, lr: float, momentum: float) -> None:
    u *= momentum
    u += g
    theta -= lr * (g + momentum * u)


class AdaGrad(Optimizer):
    """s ← s + g²,  θ ← θ − η g / (√s + ε).

    With momentum μ, u ← μ u + g / (√s + ε),  θ ← θ − η u, as in the notes' AdagradMomentum.
    Source: Duchi, Hazan, Singer 2011; without momentum, in the form of ``torch.optim.Adagrad``.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float = 1e-2,
        eps: float = 1e-10,
        weight_decay: float = 0,
        momentum: float = 0,
    ) -> None:
        self.eps = checked("eps", eps, 0, math.inf)
        self.momentum = checked("momentum", momentum, 0, 1)
        self.state = ("s", "u") if momentum else ("s",)
        super().__init__(parameters, lr, weight_decay)

    def update(self, theta: Array, g: Array, *state: Array) -> None:
        """s ← s + g²,  θ ← θ − η g / (√s + ε)."""
        s, *momentum = state
        if not momentum:
            _adagrad(theta, g, s, self.lr, self.eps)
        for u in momentum:
            _adagrad_with_momentum(theta, g, s, u, self.lr, self.eps, self.momentum)


@fused
def _adagrad(theta: Array, g: Array, s: Array, lr: float, eps: float) -> None:
    s += g * g
    step = np.sqrt(s)
    step += eps
    theta -= lr * (g / step)


@fused
def _adagrad_with_momentum(
    theta: Array, g: Array, s: Array, u: Array, lr: float, eps: float, momentum: float
) -> None:
    s += g * g
    step = np.sqrt(s)
    step += eps
    u *= momentum
    u += g / step
    theta -= lr * u


class RMSprop(Optimizer):
    """s ← α s + (1 − α) g²,  θ ← θ − η g / (√s + ε).

    With momentum μ, u ← μ u + g / (√s + ε),  θ ← θ − η u. Source: Tieleman and Hinton 2012,
    lecture 6.5, in the form of ``torch.optim.RMSprop``.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
    ) -> None:
        self.alpha = checked("alpha", alpha, 0, 1)
        self.eps = checked("eps", eps, 0, math.inf)
        self.momentum = checked("momentum", momentum, 0, 1)
        self.state = ("s", "u") if momentum else ("s",)
        super().__init__(parameters, lr, weight_decay)

    def update(self, theta: Array, g: Array, *state: Array) -> None:
        """s ← α s + (1 − α) g²,  θ ← θ − η g / (√s + ε)."""
        s, *momentum = state
        if not momentum:
            _rmsprop(theta, g, s, self.lr, self.alpha, self.eps)
        for u in momentum:
            _rmsprop_with_momentum(theta, g, s, u, self.lr, self.alpha, self.eps, self.momentum)


@fused
def _rmsprop(theta: Array, g: Array, s: Array, lr: float, alpha: float, eps: float) -> None:
    s *= alpha
    s += (1 - alpha) * (g * g)
    step = np.sqrt(s)
    step += eps
    theta -= lr * (g / step)


@fused
def _rmsprop_with_momentum(
    theta: Array, g: Array, s: Array, u: Array, lr: float, alpha: float, eps: float, momentum: float
) -> None:
    s *= alpha
    s += (1 - alpha) * (g * g)
    step = np.sqrt(s)
    step += eps
    u *= momentum
    u += g / step
    theta -= lr * u


class Adam(Optimizer):
    """m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ − η m̂ / (√v̂ + ε).

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) at step t. The state holds M = m / (1 − β₁) and
    V = v / (1 − β₂), since M ← β₁ M + g and V ← β₂ V + g² take fewer passes over memory; the
    factors move into η and ε. Source: Kingma and Ba 2015, algorithm 1.

    Where gradients vanish, M and V would decay into denormal numbers, which are many times slower
    to compute with. Every 100 steps, entries below 10⁵ times the smallest normal number are
    therefore set to zero.
    """

    state = ("M", "V")

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
    ) -> None:
        self.betas = checked("beta 1", betas[0], 0, 1), checked("beta 2", betas[1], 0, 1)
        self.eps = checked("eps", eps, 0, math.inf)
        super().__init__(parameters, lr, weight_decay)

    def begin_step(self) -> None:
        """Compute η′ and ε′ from the bias corrections and the factors of M and V."""
        beta1, beta2 = self.betas
        root = math.sqrt((1 - beta2**self.steps) / (1 - beta2))
        self._lr_now = self.lr * root * (1 - beta1) / (1 - beta1**self.steps)
        self._eps_now = self.eps * root
        if self.steps % 100 == 0:
            for buffer in self.buffers.values():
                buffer *= np.absolute(buffer) >= 1e5 * float(np.finfo(buffer.dtype).tiny)

    def update(self, theta: Array, g: Array, *state: Array) -> None:
        """M ← β₁ M + g,  V ← β₂ V + g²,  θ ← θ − η′ M / (√V + ε′)."""
        M, V = state
        _adam(theta, g, M, V, *self.betas, self._lr_now, self._eps_now)


@fused
def _adam(
    theta: Array, g: Array, M: Array, V: Array, beta1: float, beta2: float, lr: float, eps: float
) -> None:
    M *= beta1
    M += g
    V *= beta2
    V += g * g
    step = np.sqrt(V)
    step += eps
    step = M / step
    step *= lr
    theta -= step


class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← θ − η λ θ before each update.

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    decoupled = True

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)
