"""Linear algebra: sums of products, and of square matrices inverse, determinant and factors.

Matrices are in the last two axes. Each equation of theirs follows from dA⁻¹ = −A⁻¹ dA A⁻¹ and
d det A = det A tr(A⁻¹ dA). Source: M. B. Giles, "Collected matrix derivative results for forward
and reverse mode algorithmic differentiation", Advances in Automatic Differentiation (2008) 35.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autodiff import Equation, Rule, differentiable
from ..backend import Array


@differentiable
def inv(A: Array) -> Rule:
    """Z = A⁻¹:  ∂C/∂A = −Zᵀ δ Zᵀ."""
    Z = np.linalg.inv(A)
    return Z, (lambda delta: -_T(Z) @ delta @ _T(Z),)


@differentiable
def solve(A: Array, b: Array) -> Rule:
    """x = A⁻¹ b:  ∂C/∂A = −(A⁻ᵀ δ) xᵀ,  ∂C/∂b = A⁻ᵀ δ.

    ``b`` is one vector, or a matrix of columns in the last two axes, as in NumPy.
    """
    x = np.linalg.solve(A, b)

    def for_b(delta: Array) -> Array:
        return np.linalg.solve(_T(A), delta)

    def for_A(delta: Array) -> Array:
        share = for_b(delta)
        if b.ndim == 1:
            return -share[..., :, None] * x[..., None, :]
        return -share @ _T(x)

    return x, (for_A, for_b)


@differentiable
def det(A: Array) -> Rule:
    """z = det A:  ∂C/∂A = δ cof A, the matrix of cofactors, which is z A⁻ᵀ where that exists.

    From A = U S Vᵀ it is det U det V · U diag(Π of the other singular values) Vᵀ, and so is exact
    for a singular matrix too.
    """

    def cofactors(delta: Array) -> Array:
        U, s, Vt = np.linalg.svd(A)
        sign = np.linalg.det(U) * np.linalg.det(Vt)
        return (delta * sign)[..., None, None] * ((U * product_of_others(s)[..., None, :]) @ Vt)

    return np.linalg.det(A), (cofactors,)


@differentiable
def logdet(A: Array) -> Rule:
    """z = log |det A|:  ∂C/∂A = δ A⁻ᵀ."""
    return np.linalg.slogdet(A)[1], (lambda delta: delta[..., None, None] * _T(np.linalg.inv(A)),)


@differentiable
def cholesky(A: Array) -> Rule:
    """A = L Lᵀ:  ∂C/∂A = the lower triangle of S + Sᵀ − diag S, with S = L⁻ᵀ Φ(Lᵀ δ) L⁻¹.

    Φ keeps the lower triangle and half of the diagonal. As in NumPy, only the lower triangle of A
    is read, and each of its entries stands for its mirror image too. Source: I. Murray,
    "Differentiation of the Cholesky decomposition" (2016), eq. 10.
    """
    L = np.linalg.cholesky(A)

    def equation(delta: Array) -> Array:
        inner, inverse = _T(L) @ delta, np.linalg.inv(L)
        return _of_lower(_T(inverse) @ (np.tril(inner) + np.tril(inner, -1)) @ inverse / 2)

    return L, (equation,)


@differentiable
def eigvalsh(A: Array) -> Rule:
    """w = the eigenvalues of A:  ∂C/∂A = the lower triangle of S + Sᵀ − diag S, S = V diag(δ) Vᵀ.

    V holds the eigenvectors. As in NumPy, the eigenvalues ascend, and only the lower triangle of
    the symmetric A is read: each of its entries stands for its mirror image too.
    """
    w, V = np.linalg.eigh(A)
    return w, (lambda delta: _of_lower((V * delta[..., None, :]) @ _T(V)),)


@differentiable
def einsum(*arrays: Array, subscripts: str) -> Rule:
    """z = Einstein's sum of products, "ij,jk->ik":  ∂C/∂xₖ = the sum of δ and all but xₖ.

    In it the letters of xₖ are those that are kept; along one that stands nowhere else, the share
    is repeated, and for one that xₖ has twice it stands on the diagonal.
    """
    terms, out = _letters(subscripts, [x.ndim for x in arrays])

    def equation(k: int) -> Equation:
        def share(delta: Array) -> Array:
            factors = [(out, delta)]
            factors += [(terms[j], x) for j, x in enumerate(arrays) if j != k]
            kept, unused = "", iter(sorted({*_ALPHABET} - {*"".join(terms)}))
            for letter, n in zip(terms[k], arrays[k].shape, strict=True):
                if letter in kept:
                    twin = next(unused)
                    factors.append((letter + twin, np.identity(n, delta.dtype, like=delta)))
                    letter = twin
                elif not any(letter in term for term, _ in factors):
                    factors.append((letter, np.ones_like(delta, shape=(n,))))
                kept += letter
            return _einsum(",".join(term for term, _ in factors) + "->" + kept, *factors)

        return share

    z = _einsum(",".join(terms) + "->" + out, *zip(terms, arrays, strict=True))
    return z, [equation(k) for k in range(len(arrays))]


_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _einsum(subscripts: str, *factors: tuple[str, Array]) -> Array:
    return np.einsum(subscripts, *[x for _, x in factors], optimize=len(factors) > 2)


def _letters(subscripts: str, dims: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each array and of the value, those behind ``...`` and ``->`` written out."""
    left, arrow, out = subscripts.replace(" ", "").partition("->")
    terms, named = left.split(","), {*subscripts} & {*_ALPHABET}
    if len(terms) != len(dims):
        raise ValueError(f"{subscripts!r} names {len(terms)} arrays, got {len(dims)}")
    extra = [n - len(term.replace("...", "")) for term, n in zip(terms, dims, strict=True)]
    longest = max([0, *(n for term, n in zip(terms, extra, strict=True) if "..." in term)])
    spare = "".join(sorted({*_ALPHABET} - named))[:longest]
    terms = [
        term.replace("...", spare[longest - n :]) for term, n in zip(terms, extra, strict=True)
    ]
    if not arrow:
        letters = "".join(terms)
        out = "..." + "".join(c for c in sorted(named) if letters.count(c) == 1)
    return terms, out.replace("...", spare)


def product_of_others(x: Array) -> Array:
    """Π of all entries but this one along the last axis, without a division: zeros are no matter.

    >>> product_of_others(np.array([2.0, 0.0, 5.0]))
    array([ 0., 10.,  0.])
    """
    before, after = np.ones_like(x), np.ones_like(x)
    before[..., 1:] = np.cumprod(x[..., :-1], axis=-1)
    after[..., :-1] = np.flip(np.cumprod(np.flip(x[..., 1:], axis=-1), axis=-1), axis=-1)
    return before * after


def _of_lower(S: Array) -> Array:
    """What the entries of the lower triangle receive, where each stands for its mirror image."""
    return np.tril(S) + np.tril(_T(S), -1)


def _T(A: Array) -> Array:
    return A.swapaxes(-1, -2)
