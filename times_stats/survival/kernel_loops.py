"""Log density and gradient of the survival model, in one pass over the patients.

Patients come sorted by cohort and stand in blocks, which stay in the nearest cache while they are
read twice. The loops are laid out so that the processor takes several patients at a time without
changing the order in which anything is added up: sums run in `_WIDE` strands, over whole blocks
whose last places are filled with zeros.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import carray

from times_stats._compiled import compiled
from times_stats._typing import FloatArray, IntArray

BLOCK = 512  # patients
ROWS = 15  # of the memory that a chain works in
_WIDE = 8  # strands of a sum, and four additions in each step
_STEP = 4 * _WIDE
_LOG_2PI = math.log(2 * math.pi)
_LOG_2 = math.log(2.0)
_PER_LOG_2 = 1 / _LOG_2
# Log 2 in two parts: 32 bits, which whole numbers up to 2000 multiply without rounding; the rest.
_LOG_2_HIGH, _LOG_2_LOW = math.floor(_LOG_2 * 2**32) / 2**32, 1.9082149292705877e-10
_TO_WHOLE = 1.5 * 2.0**52  # added and taken away again, it leaves the nearest whole number
_ROOT_HALF = int(np.float64(math.sqrt(0.5)).view(np.int64))  # its bits
_CERTAIN = 700.0  # cumulative hazard by which the event has happened
# Rows of the memory; the first ones are as wide as a kind of parameter, the others as a block.
_BETA, _BETA_SLOPES, _OFFSET, _OFFSET_SLOPES, _PULL = range(5)
_DEFLATION, _INFLATION, _WEIGHT, _WEIGHT_SLOPES, _ETA, _POWER, _HAZARD, _RESIDUAL = range(5, 13)
_SPARE, _STRANDS = 13, 14


class Predictor(NamedTuple):
    """What every baseline needs: priors, and the linear predictor.

    Parameters
    ----------
    prior, centred : ndarray
        As in the graph; `centred` of length 3: slopes, cohorts, steps of the random walk.
    matrix : ndarray, shape (n_effects, n_coefficients)
        Effects that make up each slope: `EffectDesign.matrix` on its side.
    group : ndarray of int, shape (n_effects,)
        Group of each effect.
    n_groups : int
        Their number.
    n_shared : int
        Effects before those, if any, that belong to one column each.
    z : ndarray, shape (n_blocks, n_coefficients, BLOCK)
        Evidence, patients sorted by cohort; 0 after the last.
    starts : ndarray of int, shape (n_cohorts + 1,)
        First patient of each cohort, and the number of all.
    seen : ndarray, shape (n_cohorts,)
        Events seen to happen.
    seen_z : ndarray, shape (n_coefficients,)
        Sum of their evidence.
    found : ndarray of int, shape (n_found,)
        Patients whose event was found at a scan, ascending.
    scales : ndarray of int, shape (n_scales,)
        Places of the logs of scales among the parameters.
    """

    prior: FloatArray
    centred: FloatArray
    matrix: FloatArray
    group: IntArray
    n_groups: int
    n_shared: int
    z: FloatArray
    starts: IntArray
    seen: FloatArray
    seen_z: FloatArray
    found: IntArray
    scales: IntArray


class WeibullTerms(NamedTuple):
    """Logs of scaled times.

    Parameters
    ----------
    at_end : ndarray, shape (n_blocks, BLOCK)
        At the end of follow-up, or at the last scan without the event.
    seen_total : float
        Sum of `at_end` over events seen to happen.
    at_scan : ndarray, shape (n_found,)
        At the scan that found the event.
    late : ndarray of int, shape (n_late,)
        Patients who entered late, ascending.
    at_entry : ndarray, shape (n_late,)
        At their entry.
    """

    at_end: FloatArray
    seen_total: float
    at_scan: FloatArray
    late: IntArray
    at_entry: FloatArray


class BasisTerms(NamedTuple):
    """Values and integrals of the functions that make up the hazard.

    Parameters
    ----------
    log_weight : ndarray, shape (n_basis,)
        Log weights of a constant hazard.
    at_risk : ndarray, shape (n_blocks, n_basis, BLOCK)
        Integral over the time at risk, up to the last scan without the event; 0 after the last
        patient.
    until_found : ndarray, shape (n_found, n_basis)
        Integral over the time in which the event was found.
    basis : ndarray, shape (n_event_blocks, n_basis, BLOCK)
        Distinct values at the times of events seen.
    times_seen : ndarray, shape (n_event_blocks, BLOCK)
        Number of events with each; 0 after the last.
    n_distinct : int
        Number of values.
    """

    log_weight: FloatArray
    at_risk: FloatArray
    until_found: FloatArray
    basis: FloatArray
    times_seen: FloatArray
    n_distinct: int


def pack(predictor: Predictor, terms: WeibullTerms | BasisTerms) -> FloatArray:
    """Put everything into one array, which a callback can be handed as a pointer.

    Parameters
    ----------
    predictor : Predictor
    terms : WeibullTerms or BasisTerms

    Returns
    -------
    ndarray, shape (n_words,)
        Words of 8 bytes: their number; place and size of each field; the fields, whole numbers as
        they are.
    """
    fields = [np.ravel(np.asarray(field)) for field in (*predictor, *terms)]
    sizes = np.array([field.size for field in fields])
    places = 1 + 2 * sizes.size + np.cumsum(sizes) - sizes
    head = np.concatenate([[places[-1] + sizes[-1]], np.column_stack([places, sizes]).ravel()])
    return np.concatenate(
        [
            head.astype(np.int64).view(np.float64),
            *(
                field.astype(np.float64 if field.dtype.kind == "f" else np.int64).view(np.float64)
                for field in fields
            ),
        ]
    )


@compiled
def _floats(words: FloatArray, field: int) -> FloatArray:
    table = words.view(np.int64)
    return words[table[1 + 2 * field] : table[1 + 2 * field] + table[2 + 2 * field]]


@compiled
def _whole(words: FloatArray, field: int) -> IntArray:
    table = words.view(np.int64)
    return table[table[1 + 2 * field] : table[1 + 2 * field] + table[2 + 2 * field]]


@compiled
def _read_predictor(words: FloatArray) -> Predictor:
    group, seen_z, z = _whole(words, 3), _floats(words, 9), _floats(words, 6)
    return Predictor(
        _floats(words, 0),
        _floats(words, 1),
        _floats(words, 2).reshape(group.size, seen_z.size),
        group,
        _whole(words, 4)[0],
        _whole(words, 5)[0],
        z.reshape(z.size // (seen_z.size * BLOCK), seen_z.size, BLOCK),
        _whole(words, 7),
        _floats(words, 8),
        seen_z,
        _whole(words, 10),
        _whole(words, 11),
    )


@compiled
def _read_weibull(words: FloatArray) -> WeibullTerms:
    at_end = _floats(words, 12)
    return WeibullTerms(
        at_end.reshape(at_end.size // BLOCK, BLOCK),
        _floats(words, 13)[0],
        _floats(words, 14),
        _whole(words, 15),
        _floats(words, 16),
    )


@compiled
def _read_basis(words: FloatArray) -> BasisTerms:
    log_weight, at_risk, found = _floats(words, 12), _floats(words, 13), _floats(words, 14)
    basis, times_seen = _floats(words, 15), _floats(words, 16)
    n_basis = log_weight.size
    return BasisTerms(
        log_weight,
        at_risk.reshape(at_risk.size // (n_basis * BLOCK), n_basis, BLOCK),
        found.reshape(found.size // n_basis, n_basis),
        basis.reshape(basis.size // (n_basis * BLOCK), n_basis, BLOCK),
        times_seen.reshape(times_seen.size // BLOCK, BLOCK),
        _whole(words, 17)[0],
    )


@compiled
def weibull_density(
    point: FloatArray, gradient: FloatArray, memory: FloatArray, words: FloatArray
) -> float:
    """Return the log density of a Weibull baseline, and write its gradient.

    Parameters
    ----------
    point, gradient : ndarray, shape (n_parameters,)
        Unconstrained parameters in the order of the graph, and where the gradient goes.
    memory : ndarray, shape (ROWS, width)
        To work in; as wide as a block, and as the parameters.
    words : ndarray
        `Predictor` and `WeibullTerms`, from `pack`.

    Returns
    -------
    float
        Minus infinity where density or gradient are not finite.
    """
    own, terms = _read_predictor(words), _read_weibull(words)
    prior, starts, found, late = own.prior, own.starts, own.found, terms.late
    eta, power, hazard, residual = memory[_ETA], memory[_POWER], memory[_HAZARD], memory[_RESIDUAL]
    total = _start(point, gradient, memory, own)
    at = point.size - 1
    total += _normal(point, gradient, at, 0.0, prior[6])
    shape, events = math.exp(point[at]), own.seen.sum()
    total += events * point[at] + (shape - 1.0) * terms.seen_total
    slope = terms.seen_total  # with respect to the shape
    n_late = n_found = 0
    for block in range(own.z.shape[0]):
        first = block * BLOCK
        size = min(BLOCK, starts[-1] - first)
        _fill_eta(memory, own, block, size)
        log_time = terms.at_end[block]
        for j in range(size):
            power[j] = eta[j] + shape * log_time[j]
        _exponentials(power, size, hazard, memory[_SPARE])
        for j in range(size):
            residual[j] = -hazard[j]
        padded = _pad(residual, size)
        total += _sum(residual, 0, size)
        slope += _dot(residual, log_time, padded, memory[_STRANDS])
        while n_late < late.size and late[n_late] < first + size:
            j = late[n_late] - first
            before = math.exp(eta[j] + shape * terms.at_entry[n_late])
            total += before
            residual[j] += before
            slope += before * terms.at_entry[n_late]
            n_late += 1
        while n_found < found.size and found[n_found] < first + size:
            j = found[n_found] - first
            upper = math.exp(eta[j] + shape * terms.at_scan[n_found])
            log_probability, odds = _found_within(upper - hazard[j])
            total += log_probability
            if odds != 0.0:
                residual[j] += odds * (upper - hazard[j])
                slope += odds * (upper * terms.at_scan[n_found] - hazard[j] * log_time[j])
            n_found += 1
        _collect(memory, own, block, size, padded)
    gradient[at] += events + shape * slope
    _finish(point, gradient, memory, own)
    return _checked(total, gradient)


@compiled
def basis_density(
    point: FloatArray, gradient: FloatArray, memory: FloatArray, words: FloatArray
) -> float:
    """Return the log density of a hazard that is a weighted sum, and write its gradient.

    Parameters
    ----------
    point, gradient, memory : ndarray
        As for `weibull_density`.
    words : ndarray
        `Predictor` and `BasisTerms`, from `pack`.

    Returns
    -------
    float
        Minus infinity where density or gradient are not finite.
    """
    own, terms = _read_predictor(words), _read_basis(words)
    prior, centred, starts, found = own.prior, own.centred, own.starts, own.found
    at_risk, basis = terms.at_risk, terms.basis
    n_basis = terms.log_weight.size
    relative, hazard, residual = memory[_POWER], memory[_HAZARD], memory[_RESIDUAL]
    strands = memory[_STRANDS]
    weight, slopes = memory[_WEIGHT, :n_basis], memory[_WEIGHT_SLOPES, :n_basis]
    total = _start(point, gradient, memory, own)
    at = point.size - n_basis
    total += _half_normal(point, gradient, memory, at, prior[6], centred[2])
    weight[0] = 0.0
    for k in range(1, n_basis):
        density, weight[k], _ = _effect(point, gradient, memory, at, at + k, centred[2], 0.0)
        total += density
    _fill_weights(terms.log_weight, weight)
    slopes[:] = 0.0
    n_found = 0
    for block in range(own.z.shape[0]):
        first = block * BLOCK
        size = min(BLOCK, starts[-1] - first)
        _fill_eta(memory, own, block, size)
        _exponentials(memory[_ETA], size, relative, memory[_SPARE])
        hazard[:size] = 0.0
        _add_weighted(weight, at_risk[block], size, hazard)
        for j in range(size):
            residual[j] = -relative[j] * hazard[j]
        padded = _pad(residual, size)
        _pad(relative, size)
        total += _sum(residual, 0, size)
        for k in range(n_basis):
            slopes[k] -= _dot(relative, at_risk[block, k], padded, strands)
        while n_found < found.size and found[n_found] < first + size:
            j = found[n_found] - first
            more = 0.0
            for k in range(n_basis):
                more += relative[j] * weight[k] * terms.until_found[n_found, k]
            log_probability, odds = _found_within(more)
            total += log_probability
            if odds != 0.0:
                residual[j] += odds * more
                for k in range(n_basis):
                    slopes[k] += odds * relative[j] * terms.until_found[n_found, k]
            n_found += 1
        _collect(memory, own, block, size, padded)
    for block in range(basis.shape[0]):
        size = min(BLOCK, terms.n_distinct - block * BLOCK)
        hazard[:size] = 0.0
        _add_weighted(weight, basis[block], size, hazard)
        _logarithms(hazard, size, residual, memory[_SPARE])
        for j in range(size):
            residual[j] *= terms.times_seen[block, j]
            relative[j] = terms.times_seen[block, j] / hazard[j]
        padded = _pad(relative, size)
        total += _sum(residual, 0, size)
        for k in range(n_basis):
            slopes[k] += _dot(relative, basis[block, k], padded, strands)
    _chain_weights(weight, slopes)
    for k in range(1, n_basis):
        _chain_effect(point, gradient, memory, at, at + k, centred[2], slopes[k])
    _finish(point, gradient, memory, own)
    return _checked(total, gradient)


@compiled
def _start(point: FloatArray, gradient: FloatArray, memory: FloatArray, own: Predictor) -> float:
    """Start density and gradient with priors and events; fill slopes and offsets."""
    prior, centred, group, n_cohorts = own.prior, own.centred, own.group, own.seen.size
    n_coefficients, n_shared = own.seen_z.size, own.n_shared
    beta, offset = memory[_BETA, :n_coefficients], memory[_OFFSET, :n_cohorts]
    pull, form = memory[_PULL], centred[0]
    shared_form = 0.0 if n_shared < group.size else form  # beside columns with effects of their own
    gradient[:] = 0.0
    total = _normal(point, gradient, 0, prior[0], prior[1])
    beta[:] = point[0]
    latent = 1 + own.n_groups
    for g in range(own.n_groups):
        each = shared_form if g < own.n_groups - 1 else form
        total += _half_normal(point, gradient, memory, 1 + g, prior[2], each)
    for e in range(n_shared):
        density, effect, _ = _effect(
            point, gradient, memory, 1 + group[e], latent + e, shared_form, 0.0
        )
        total += density
        for p in range(n_coefficients):
            beta[p] += own.matrix[e, p] * effect
    for p in range(group.size - n_shared):
        density, effect, pull[p] = _effect(
            point, gradient, memory, own.n_groups, latent + n_shared + p, form, beta[p]
        )
        total += density
        beta[p] += effect
    level = latent + group.size
    total += _normal(point, gradient, level, 0.0, prior[3])
    offset[:] = point[level] + prior[4]
    if n_cohorts > 1:
        total += _half_normal(point, gradient, memory, level + 1, prior[5], centred[1])
        for c in range(n_cohorts):
            density, effect, off_level = _effect(
                point, gradient, memory, level + 1, level + 2 + c, centred[1], point[level]
            )
            total += density
            offset[c] += effect
            gradient[level] += off_level
    for p in range(n_coefficients):
        memory[_BETA_SLOPES, p] = own.seen_z[p]
        total += own.seen_z[p] * beta[p]
    for c in range(n_cohorts):
        memory[_OFFSET_SLOPES, c] = own.seen[c]
        total += own.seen[c] * offset[c]
    return total


@compiled
def _finish(point: FloatArray, gradient: FloatArray, memory: FloatArray, own: Predictor) -> None:
    """Carry the gradient from slopes and offsets on to the parameters."""
    centred, group, n_cohorts, n_shared = own.centred, own.group, own.seen.size, own.n_shared
    slopes, form, latent = memory[_BETA_SLOPES], centred[0], 1 + own.n_groups
    shared_form = 0.0 if n_shared < group.size else form
    for p in range(group.size - n_shared):
        _chain_effect(point, gradient, memory, own.n_groups, latent + n_shared + p, form, slopes[p])
        slopes[p] = (1.0 - form) * slopes[p] + memory[_PULL, p]
    for p in range(own.seen_z.size):
        gradient[0] += slopes[p]
    for e in range(n_shared):
        slope = 0.0
        for p in range(own.seen_z.size):
            slope += own.matrix[e, p] * slopes[p]
        _chain_effect(point, gradient, memory, 1 + group[e], latent + e, shared_form, slope)
    level, form = latent + group.size, centred[1] if n_cohorts > 1 else 0.0
    for c in range(n_cohorts):
        slope = memory[_OFFSET_SLOPES, c]
        gradient[level] += (1.0 - form) * slope
        if n_cohorts > 1:
            _chain_effect(point, gradient, memory, level + 1, level + 2 + c, form, slope)


@compiled
def _normal(point: FloatArray, gradient: FloatArray, at: int, mean: float, sd: float) -> float:
    off = (point[at] - mean) / sd
    gradient[at] -= off / sd
    return float(-0.5 * (off * off + _LOG_2PI) - math.log(sd))


@compiled
def _half_normal(
    point: FloatArray,
    gradient: FloatArray,
    memory: FloatArray,
    at: int,
    sd: float,
    centred: float,
) -> float:
    """Density of a scale, the parameter being its log; its powers are kept for the effects."""
    memory[_DEFLATION, at] = math.exp(-centred * point[at])
    memory[_INFLATION, at] = math.exp((1.0 - centred) * point[at])
    off = math.exp(point[at]) / sd
    gradient[at] += 1.0 - off * off
    return float(_LOG_2 - 0.5 * (off * off + _LOG_2PI) - math.log(sd) + point[at])


@compiled
def _effect(
    point: FloatArray,
    gradient: FloatArray,
    memory: FloatArray,
    scale: int,
    latent: int,
    centred: float,
    mean: float,
) -> tuple[float, float, float]:
    """Return the prior density of a latent value, its effect, and its pull on the mean."""
    own = point[latent] - centred * mean
    off = own * memory[_DEFLATION, scale]
    gradient[latent] -= off * memory[_DEFLATION, scale]
    gradient[scale] += centred * (off * off - 1.0)
    density = -0.5 * (off * off + _LOG_2PI) - centred * point[scale]
    pull = centred * off * memory[_DEFLATION, scale]
    return density, own * memory[_INFLATION, scale], pull


@compiled
def _chain_effect(
    point: FloatArray,
    gradient: FloatArray,
    memory: FloatArray,
    scale: int,
    latent: int,
    centred: float,
    slope: float,
) -> None:
    """Carry the gradient from an effect on to its latent value and its scale."""
    gradient[latent] += slope * memory[_INFLATION, scale]
    gradient[scale] += slope * (1.0 - centred) * point[latent] * memory[_INFLATION, scale]


@compiled
def _fill_weights(log_weight: FloatArray, weight: FloatArray) -> None:
    """Turn the steps of a random walk on the logs into weights that sum to one."""
    walk = 0.0
    for k in range(weight.size):
        walk += weight[k]
        weight[k] = log_weight[k] + walk
    largest = weight.max()
    for k in range(weight.size):
        weight[k] = math.exp(weight[k] - largest)
    weight /= weight.sum()


@compiled
def _chain_weights(weight: FloatArray, slopes: FloatArray) -> None:
    """Carry the gradient from the weights on to the steps of the walk."""
    mean = 0.0
    for k in range(weight.size):
        mean += weight[k] * slopes[k]
    for k in range(weight.size):
        slopes[k] = weight[k] * (slopes[k] - mean)
    for k in range(weight.size - 2, -1, -1):
        slopes[k] += slopes[k + 1]


@compiled
def _fill_eta(memory: FloatArray, own: Predictor, block: int, size: int) -> None:
    """Fill the linear predictor of a block."""
    eta, starts, first = memory[_ETA], own.starts, block * BLOCK
    for c in range(own.seen.size):
        for j in range(max(starts[c] - first, 0), min(starts[c + 1] - first, size)):
            eta[j] = memory[_OFFSET, c]
    _add_weighted(memory[_BETA], own.z[block], size, eta)


@compiled
def _collect(memory: FloatArray, own: Predictor, block: int, size: int, padded: int) -> None:
    """Add a block's residuals to the gradient of slopes and offsets."""
    residual, starts, first = memory[_RESIDUAL], own.starts, block * BLOCK
    for p in range(own.seen_z.size):
        memory[_BETA_SLOPES, p] += _dot(residual, own.z[block, p], padded, memory[_STRANDS])
    for c in range(own.seen.size):
        begin, end = max(starts[c] - first, 0), min(starts[c + 1] - first, size)
        if begin < end:
            memory[_OFFSET_SLOPES, c] += _sum(residual, begin, end)


@compiled
def _add_weighted(weight: FloatArray, columns: FloatArray, size: int, out: FloatArray) -> None:
    for k in range(columns.shape[0]):
        each, column = weight[k], columns[k]
        for j in range(size):
            out[j] += each * column[j]


@compiled
def _pad(values: FloatArray, size: int) -> int:
    """Fill with zeros up to the next whole step of a sum; return where that is."""
    padded = (size + _STEP - 1) // _STEP * _STEP
    values[size:padded] = 0.0
    return padded


@compiled
def _dot(values: FloatArray, column: FloatArray, padded: int, strands: FloatArray) -> float:
    strands[:_WIDE] = 0.0
    for j in range(0, padded, _STEP):
        for k in range(_WIDE):
            a, b, c, d = j + k, j + k + _WIDE, j + k + 2 * _WIDE, j + k + 3 * _WIDE
            strands[k] += (values[a] * column[a] + values[b] * column[b]) + (
                values[c] * column[c] + values[d] * column[d]
            )
    return _sum(strands, 0, _WIDE)


@compiled
def _sum(values: FloatArray, first: int, last: int) -> float:
    a = b = c = d = 0.0
    whole = last - (last - first) % 4
    for j in range(first, whole, 4):
        a += values[j]
        b += values[j + 1]
        c += values[j + 2]
        d += values[j + 3]
    for j in range(whole, last):
        a += values[j]
    return (a + b) + (c + d)


@compiled
def _exponentials(values: FloatArray, size: int, out: FloatArray, spare: FloatArray) -> None:
    """Fill in exponentials, right to 2 in the last place; 0 below e^-708.

    As 2^k e^r with r within log(2)/2 of 0, and e^r = 1 + r + rc / (2 - c), where 2 - c + r is the
    even function r coth(r/2), whose series has Bernoulli numbers. Without a branch or a call, so
    that the processor takes several at a time.
    """
    bits = spare.view(np.int64)
    for j in range(size):
        value = min(max(values[j], -750.0), 710.0)
        k = (value * _PER_LOG_2 + _TO_WHOLE) - _TO_WHOLE
        bits[j] = np.int64(max(k + 1023.0, 0.0)) << 52  # the exponent of a double
        r = (value - k * _LOG_2_HIGH) - k * _LOG_2_LOW
        s = r * r
        even = 1 / 15120 - s * (1 / 604800 - s * (1 / 23950080 - s * (691 / 653837184000)))
        c = r - s * (1 / 6 - s * (1 / 360 - s * even))
        out[j] = 1.0 + (r + r * c / (2.0 - c))
    for j in range(size):
        out[j] *= spare[j]


@compiled
def _logarithms(values: FloatArray, size: int, out: FloatArray, spare: FloatArray) -> None:
    """Fill in logarithms of positive numbers, right to 2 in the last place.

    As k log(2) + log(m) with m within a factor sqrt(2) of 1, and log(m) = 2 artanh(s) with
    s = (m - 1) / (m + 1), whose series is s + s^3/3 + s^5/5 + ... Written as `_exponentials` is.
    """
    bits = spare.view(np.int64)
    for j in range(size):
        spare[j] = values[j]
    for j in range(size):
        power = (bits[j] - _ROOT_HALF) >> 52
        bits[j] -= power << 52
        out[j] = np.float64(power)
    for j in range(size):
        f = spare[j] - 1.0
        s = f / (2.0 + f)
        q = s * s
        p = 1 / 13 + q * (1 / 15 + q * (1 / 17 + q * (1 / 19 + q * (1 / 21))))
        p = q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * p)))))
        out[j] = out[j] * _LOG_2_HIGH + (2.0 * s + (2.0 * s * p + out[j] * _LOG_2_LOW))


@compiled
def _found_within(more: float) -> tuple[float, float]:
    """Return the log probability of an event, and the odds against it, by its cumulative hazard."""
    if more > _CERTAIN:
        return 0.0, 0.0
    return math.log(-math.expm1(-more)), 1.0 / math.expm1(more)


@compiled
def _checked(total: float, gradient: FloatArray) -> float:
    """Return the density, or minus infinity if any part of the gradient is not finite."""
    every = total
    for k in range(gradient.size):
        every += 0.0 * gradient[k]
    return total if math.isfinite(every) else -math.inf


def weibull_callback(n: int, point: Any, gradient: Any, density: Any, data: Any) -> int:
    """Evaluate `weibull_density` for nutpie, on pointers; return 0, or 4 at a bad point."""
    words = carray(data, (carray(data, (1,), np.int64)[0],), np.float64)
    memory = np.empty((ROWS, max(BLOCK, n)))
    found = weibull_density(carray(point, (n,)), carray(gradient, (n,)), memory, words)
    carray(density, (1,))[0] = found
    return 0 if math.isfinite(found) else 4


def basis_callback(n: int, point: Any, gradient: Any, density: Any, data: Any) -> int:
    """Evaluate `basis_density` for nutpie, on pointers; return 0, or 4 at a bad point."""
    words = carray(data, (carray(data, (1,), np.int64)[0],), np.float64)
    memory = np.empty((ROWS, max(BLOCK, n)))
    found = basis_density(carray(point, (n,)), carray(gradient, (n,)), memory, words)
    carray(density, (1,))[0] = found
    return 0 if math.isfinite(found) else 4


def expand_callback(n: int, n_expanded: int, point: Any, expanded: Any, data: Any) -> int:
    """Write the parameters, and after them the scales that some are the logs of."""
    words = carray(data, (carray(data, (1,), np.int64)[0],), np.float64)
    scales, found, given = _whole(words, 11), carray(expanded, (n_expanded,)), carray(point, (n,))
    found[:n] = given
    for k in range(scales.size):
        found[n + k] = math.exp(given[scales[k]])
    return 0
