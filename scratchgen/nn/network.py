"""The base of all networks and models: named parameters, found among their attributes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..autodiff import Tensor
from ..backend import Array, Generator, check_generator, device_of, to_device
from ..construction import Constructed
from .summary import Summary, sample_shape, summary, watch

N = TypeVar("N", bound="Network")


class Network(Constructed):
    """A record of parameters and inner networks, which is called with arrays or tensors.

    Its parameters are the tensors among its attributes, followed by those of its inner networks,
    each in the order in which they were set. ``self.weight`` of ``self.hidden`` has the name
    ``"hidden.weight"``, as in PyTorch. A subclass sets its attributes in its constructor and
    defines ``__call__(x, rng=None)``. With ``rng`` the call may be stochastic (dropout); without
    ``rng`` it is deterministic.

    ``buffers`` names the attributes that are arrays to be saved with the parameters although no
    gradient moves them, such as the chains of a sampler. ``constants`` names the buffers that a
    training step does not change, and ``independent`` those that hold chains which know nothing of
    each other, with the axis along which they lie.
    """

    buffers: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    independent: Mapping[str, int] = MappingProxyType({})

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        """The output of the network for a batch x."""
        raise TypeError(f"{type(self).__name__} is not called: it states its own methods")

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter with its name: own parameters, then those of inner networks."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                yield name, value
        for name, value in vars(self).items():
            if isinstance(value, Network):
                for inner, parameter in value.named_parameters():
                    yield f"{name}.{inner}", parameter

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Yield each buffer with its name: own buffers, then those of inner networks."""
        for name in self.buffers:
            yield name, getattr(self, name)
        for name, value in vars(self).items():
            if isinstance(value, Network):
                for inner, buffer in value.named_buffers():
                    yield f"{name}.{inner}", buffer

    def parameters(self) -> list[Tensor]:
        """The parameters, in order; a parameter with two names occurs once."""
        return list(dict.fromkeys(parameter for _, parameter in self.named_parameters()))

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The dtype of the first parameter, or ``None`` without parameters."""
        for value in vars(self).values():
            if isinstance(value, (Tensor, Network)) or hasattr(value, "__array_function__"):
                dtype: np.dtype[Any] | None = value.dtype
                if dtype is not None:
                    return dtype
        return None

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (list, tuple)) and any(
            isinstance(v, (Network, Tensor)) for v in value
        ):
            raise TypeError(
                f"{name}: networks and tensors in a {type(value).__name__} would not be found; set "
                "them as attributes, or as layers of nn.Sequential"
            )
        super().__setattr__(name, value)

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of the value of each parameter, by name, then of each buffer."""
        values = {name: parameter.data for name, parameter in self.named_parameters()}
        values.update(self.named_buffers())
        return {name: value.copy() for name, value in values.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set each parameter and each buffer to the value of its name, cast to its own dtype.

        Values are arrays, or tensors of PyTorch. Raises ``ValueError``, before any value is set,
        where names or shapes do not fit.
        """
        state = _by_name(state)
        parameters = dict(self.named_parameters())
        own = {name: parameter.data for name, parameter in parameters.items()}
        own.update(self.named_buffers())
        missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unknown:
            raise ValueError(
                f"the names of the state do not fit {type(self).__name__}: "
                f"missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        values = {name: to_device(_array(state[name]), device_of(own[name])) for name in own}
        for name, value in values.items():
            if value.shape != own[name].shape or value.dtype.kind not in "biuf":
                raise ValueError(
                    f"{name} is real numbers of shape {own[name].shape}, the state gives it "
                    f"{value.dtype} of shape {value.shape}"
                )
        for name, value in values.items():
            own[name][...] = value
        for parameter in parameters.values():
            parameter.changed()

    def astype(self: N, dtype: npt.DTypeLike) -> N:
        """Cast every parameter and buffer in place, and return the network."""
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.changed()
        self._cast_buffers(dtype)
        return self

    def _cast_buffers(self, dtype: npt.DTypeLike) -> None:
        for name in self.buffers:
            setattr(self, name, getattr(self, name).astype(dtype))
        for value in vars(self).values():
            if isinstance(value, Network):
                value._cast_buffers(dtype)

    def frozen(self: N) -> N:
        """The same network on plain arrays, which share memory with the parameters.

        Its output is an array, and nothing is recorded: use it for sampling and evaluation.
        """
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(twin, name, value.data)
            elif isinstance(value, Network):
                setattr(twin, name, value.frozen())
        return twin

    def summary(self, shape: Sequence[int] | None = None) -> Summary:
        """Return the layers in order, with the shapes of their outputs and numbers of parameters.

        ``shape`` is the shape of one sample, which is passed through once. If it is not given, and
        no first layer on rows implies it, the summary omits the shapes of the outputs.
        """
        known = self._sample_shape() if shape is None else tuple(shape)
        if known is None:
            return summary(self, {})
        twin = self.frozen()
        shapes = watch(twin)
        like = self.parameters()[0].data if self.parameters() else np.zeros(0, np.float32)
        try:
            twin._one_pass(np.zeros_like(like, shape=(1, *known)))
        except (ValueError, TypeError, LookupError):
            if shape is not None:
                raise
        return summary(self, shapes)

    def _repr_html_(self) -> str:
        """The summary, for a notebook."""
        return self.summary()._repr_html_()

    def _sample_shape(self) -> tuple[int, ...] | None:
        """The shape of one sample, or None if it is unknown."""
        return sample_shape(self)

    def _one_pass(self, x: Array) -> None:
        """Pass one sample through all inner networks."""
        self(x)


class Sequential(Network):
    """Layer after layer: x ↦ layerₖ(… layer₁(layer₀(x))). The layers have the names "0", "1", …"""

    def __init__(self, *layers: Network) -> None:
        for k, layer in enumerate(layers):
            if not isinstance(layer, Network):
                raise TypeError(
                    f"layer {k} of Sequential is a Network, got {type(layer).__name__}: give "
                    "networks one by one, Sequential(*layers)"
                )
            setattr(self, str(k), layer)

    @property
    def layers(self) -> tuple[Network, ...]:
        """The layers, in order."""
        return tuple(value for value in vars(self).values() if isinstance(value, Network))

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        """The output of the last layer."""
        for layer in self.layers:
            x = layer(x, rng)
        return x

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"


def _by_name(state: Any) -> Mapping[str, Any]:
    """Return a state as a mapping, also if it is given as pairs, as by ``named_parameters()``."""
    if isinstance(state, Mapping):
        return state
    try:
        return dict(state)
    except (TypeError, ValueError):
        raise TypeError(
            f"a state maps names to arrays, got {type(state).__name__}: take the state_dict() of a "
            "network"
        ) from None


def _array(value: Any) -> Any:
    """Return an array; a tensor of PyTorch is detached and moved to the host."""
    if isinstance(value, Tensor):
        return value.data
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def draw_uniform(shape: tuple[int, ...], bound: float, rng: Generator) -> Array:
    """Initial weights: float32 from the uniform distribution on [−bound, bound)."""
    check_generator(rng)
    weights = rng.random(shape, dtype=np.float32)
    weights *= 2 * bound
    weights -= bound
    return weights
