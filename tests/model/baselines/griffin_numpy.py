"""Griffin's recurrent block (arXiv 2402.19427, sections 2.3 and 2.4) in float64, a segment at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.model.baselines.numpy_attention import Parameters, sigmoid

SHARPNESS = 8.0  # c of equation 4


class Recurrence(NamedTuple):
    """The hidden state after the last token, and the last T - 1 inputs of the convolution."""

    hidden_BR: np.ndarray
    inputs_BTR: np.ndarray


def zero_recurrence(parameters: Parameters, batch: int) -> Recurrence:
    """What stands before a document."""
    taps, width = parameters["conv_kernel"].shape
    return Recurrence(np.zeros((batch, width)), np.zeros((batch, taps - 1, width)))


def griffin_block(
    parameters: Parameters, x_BLD: np.ndarray, state: Recurrence, starts_B: np.ndarray
) -> tuple[np.ndarray, Recurrence]:
    """out(GELU(y(x)) * RG-LRU(conv(x(x)))) of a segment, and the state for the next. `starts_B`: rows whose
    document begins here.

    `parameters`: y_kernel, x_kernel [D, R], out_kernel [R, D], conv_kernel [T, R], input_gate_kernel,
    recurrence_gate_kernel [H, R / H, R / H], each with its bias; decay [R], the recurrence being exp(-8 r
    softplus(decay)). The last tap is for the token itself.
    """
    length, taps = x_BLD.shape[1], len(parameters["conv_kernel"])
    gate_BLR = _gelu(x_BLD @ parameters["y_kernel"] + parameters["y_bias"])
    before = np.where(starts_B[:, None, None], 0.0, state.inputs_BTR)
    inputs = np.concatenate((before, x_BLD @ parameters["x_kernel"] + parameters["x_bias"]), axis=1)
    u_BLR = (
        sum(inputs[:, tap : tap + length] * parameters["conv_kernel"][tap] for tap in range(taps))
        + parameters["conv_bias"]
    )
    hidden_BLR = _rg_lru(parameters, u_BLR, state.hidden_BR, starts_B)
    out = (hidden_BLR * gate_BLR) @ parameters["out_kernel"] + parameters["out_bias"]
    return out, Recurrence(hidden_BLR[:, -1], inputs[:, length:])


def _rg_lru(
    parameters: Parameters, u_BLR: np.ndarray, hidden_BR: np.ndarray, starts_B: np.ndarray
) -> np.ndarray:
    """h_t = a_t h_{t-1} + sqrt(1 - a_t^2) (i_t u_t) (equation 4), without decay and without the root where a
    document begins.
    """
    r = sigmoid(
        _block_diagonal(u_BLR, parameters["recurrence_gate_kernel"], parameters["recurrence_gate_bias"])
    )
    i = sigmoid(_block_diagonal(u_BLR, parameters["input_gate_kernel"], parameters["input_gate_bias"]))
    a = np.exp(-SHARPNESS * r * np.log1p(np.exp(parameters["decay"])))
    share = np.sqrt(1.0 - a**2)
    a[:, 0] = np.where(starts_B[:, None], 0.0, a[:, 0])
    share[:, 0] = np.where(starts_B[:, None], 1.0, share[:, 0])
    hidden_BLR = np.empty_like(u_BLR)
    for token in range(u_BLR.shape[1]):
        hidden_BR = a[:, token] * hidden_BR + share[:, token] * i[:, token] * u_BLR[:, token]
        hidden_BLR[:, token] = hidden_BR
    return hidden_BLR


def _block_diagonal(x_BLR: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Each of H slices of the features times its own matrix."""
    slices = x_BLR.reshape(*x_BLR.shape[:-1], len(kernel), -1)
    return np.einsum("blhi,hij->blhj", slices, kernel).reshape(x_BLR.shape) + bias.reshape(-1)


def _gelu(x: np.ndarray) -> np.ndarray:
    """In its tanh form."""
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))
