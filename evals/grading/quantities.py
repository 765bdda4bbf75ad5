"""Numbers for evaluating formulas: exact fractions as long as they stay small, else 120 digits.

Anything that would take long, or would lose more digits than there are to spare, raises TooLarge; anything without a
value (a division by zero, the root of a negative number where only reals make sense) raises Undefined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias

import mpmath
from mpmath import libmp

Value: TypeAlias = Any
"""A Fraction, or a real or complex number of mpmath."""

PRECISION = 400
"""Bits of an inexact number."""
KEPT = 160
"""In how many bits equal values agree."""
_NOISE = 300
_CANCELLED = 90
_EXACT_BITS = 30_000
_EXACT_ARGUMENT = 2_000
_RECOGNISED = 2**100

mp: Any = mpmath.MPContext()
mp.prec = PRECISION


class Undefined(ArithmeticError):
    """The formula has no value here."""


class TooLarge(ArithmeticError):
    """The value would take too long, or more digits than are kept."""


def number(value: Value) -> Any:
    """``value`` as an mpmath number."""
    if isinstance(value, Fraction):
        return mp.mpf(value.numerator) / value.denominator if value.denominator != 1 else mp.mpf(value.numerator)
    return value


def exact(value: Fraction) -> Value:
    """``value``, exactly as long as it is short."""
    if value.numerator.bit_length() + value.denominator.bit_length() <= _EXACT_BITS:
        return value
    return number(value)


def checked(value: Value) -> Value:
    """``value`` without an imaginary part that is noise. Raises Undefined for infinities."""
    if isinstance(value, Fraction):
        return value
    if not mp.isfinite(value):
        raise Undefined("infinite")
    if isinstance(value, mp.mpc):
        if _negligible(value.imag, value.real):
            return value.real
        return mp.mpc(0, value.imag) if _negligible(value.real, value.imag) else value
    return value


def _negligible(part: Any, other: Any) -> bool:
    return not part or (bool(other) and mp.mag(part) < mp.mag(other) - _NOISE)


def is_zero(value: Value) -> bool:
    return bool(value == 0)


def add(a: Value, b: Value) -> Value:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return exact(a + b)
    if is_zero(a) or is_zero(b):
        return b if is_zero(a) else a
    x, y = number(a), number(b)
    if abs(mp.mag(x) - mp.mag(y)) > PRECISION - KEPT:
        raise TooLarge("a sum whose smaller part is lost")
    total = x + y
    largest = max(mp.mag(x), mp.mag(y))
    if is_zero(total) or mp.mag(total) < largest - _NOISE:
        return Fraction(0)
    if mp.mag(total) < largest - _CANCELLED:
        raise TooLarge("a difference in the last digits")
    return checked(total)


def negate(a: Value) -> Value:
    return -a


def multiply(a: Value, b: Value) -> Value:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return exact(a * b)
    if is_zero(a) or is_zero(b):
        return Fraction(0)
    return checked(number(a) * number(b))


def divide(a: Value, b: Value) -> Value:
    if is_zero(b):
        raise Undefined("a division by zero")
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return exact(a / b)
    return checked(number(a) / number(b))


def power(base: Value, exponent: Value) -> Value:
    if is_zero(base):
        if isinstance(exponent, mp.mpc) or exponent <= 0:
            raise Undefined("a power of zero")
        return Fraction(0)
    if isinstance(exponent, Fraction):
        return _rational_power(base, exponent)
    return _general_power(base, exponent)


def _rational_power(base: Value, exponent: Fraction) -> Value:
    if exponent.denominator == 1:
        return _whole_power(base, int(exponent))
    if isinstance(base, mp.mpc) or (base < 0 and exponent.denominator % 2 == 0):
        return _general_power(base, exponent)
    if base < 0:  # roots of odd degree are real
        root = _rational_power(-base, exponent)
        return root if exponent.numerator % 2 == 0 else -root
    if isinstance(base, Fraction) and (root := exact_root(base, exponent.denominator)) is not None:
        return _whole_power(root, exponent.numerator)
    return _general_power(base, exponent)


def _whole_power(base: Value, exponent: int) -> Value:
    if isinstance(base, Fraction):
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if base in (1, -1):
            return base if exponent % 2 else Fraction(1)
        if bits * abs(exponent) <= _EXACT_BITS:
            return base**exponent
    return _general_power(base, exponent)


def _general_power(base: Value, exponent: Value) -> Value:
    x, y = number(base), number(exponent) if isinstance(exponent, Fraction) else exponent
    size = abs(mp.mag(x)) + 1
    if isinstance(y, int):
        if abs(y).bit_length() > 40 or size * abs(y) > 2**46:
            raise TooLarge("a power")
        return checked(x**y)
    if mp.mag(y) > 40 or size * abs(y) > 2**30:
        raise TooLarge("a power")
    return checked(mp.power(x, y))


def exact_root(value: Fraction, degree: int) -> Fraction | None:
    """The root of a non-negative fraction, if the root is a fraction."""
    if degree > 64 or value.numerator.bit_length() + value.denominator.bit_length() > 4_000:
        return None
    above, below = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    return Fraction(above, below) if above is not None and below is not None else None


def _whole_root(value: int, degree: int) -> int | None:
    root = math.isqrt(value) if degree == 2 else _newton(value, degree)
    return root if root**degree == value else None


def _newton(value: int, degree: int) -> int:
    """The whole part of the root."""
    if value < 2:
        return value
    root = 1 << -(-value.bit_length() // degree)
    while (better := ((degree - 1) * root + value // root ** (degree - 1)) // degree) < root:
        root = better
    return root


def factorial(value: Value, step: int = 1) -> Value:
    if isinstance(value, Fraction) and value.denominator == 1:
        if value < 0:
            raise Undefined("the factorial of a negative number")
        if value <= _EXACT_ARGUMENT:
            return exact(Fraction(math.prod(range(int(value), 0, -step))))
    if step != 1:
        raise TooLarge("a double factorial")
    return gamma(add(value, Fraction(1)))


def gamma(value: Value) -> Value:
    if isinstance(value, mp.mpc) or mp.mag(number(value)) > 40:
        raise TooLarge("a gamma function")
    if value <= 0 and (isinstance(value, Fraction) and value.denominator == 1):
        raise Undefined("a pole of the gamma function")
    if isinstance(value, Fraction) and value.denominator == 1 and value <= _EXACT_ARGUMENT:
        return exact(Fraction(math.factorial(int(value) - 1)))
    return checked(mp.gamma(number(value)))


def binomial(n: Value, k: Value) -> Value:
    whole = all(isinstance(v, Fraction) and v.denominator == 1 for v in (n, k))
    if whole and k < 0:
        return Fraction(0)
    if whole and 0 <= n <= 5_000:
        return exact(Fraction(math.comb(int(n), int(k))))
    below = multiply(factorial(k), factorial(add(n, -k)))
    return divide(factorial(n), below)


def whole(value: Value) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1:
        raise Undefined("not an integer")
    return int(value)


def rounded_down(value: Value) -> Value:
    if isinstance(value, mp.mpc):
        raise Undefined("the floor of a complex number")
    if isinstance(value, Fraction):
        return Fraction(math.floor(value))
    nearest = mp.nint(value)
    if mp.mag(value) > KEPT:
        raise TooLarge("a floor")
    near = is_zero(value - nearest) or mp.mag(value - nearest) < -KEPT
    return Fraction(int(nearest if near else mp.floor(value)))


def modulo(a: Value, b: Value) -> Value:
    if is_zero(b) or isinstance(a, mp.mpc) or isinstance(b, mp.mpc):
        raise Undefined("a remainder")
    return add(a, -multiply(b, rounded_down(divide(a, b))))


def computed(function: Callable[[Any], Any], value: Value, largest: int = 40) -> Value:
    """``function`` of mpmath at a value below ``2**largest``."""
    x = number(value)
    if x and mp.mag(x) > largest:
        raise TooLarge("an argument")
    try:
        return checked(function(x))
    except (ZeroDivisionError, ValueError) as error:
        raise Undefined(str(error)) from error


def key(value: Value) -> tuple[Any, ...]:
    """What equal values share: the fraction that a value is, or its leading bits."""
    if not isinstance(value, Fraction):
        if isinstance(value, mp.mpc):
            return ("complex", key(recognised(value.real)), key(recognised(value.imag)))
        value = recognised(value)
    if isinstance(value, Fraction):
        return ("fraction", value.numerator, value.denominator)
    return ("real", *map(int, libmp.mpf_pos(value._mpf_, KEPT, "n")))


def recognised(value: Any, noise: int = _NOISE) -> Value:
    """The fraction with a small denominator that a real number is; else the number."""
    sign, mantissa, exponent, bits = (int(part) for part in value._mpf_)
    if not mantissa:
        return Fraction(0)
    size = bits + exponent
    if not -200 < size < PRECISION - KEPT:
        return value
    above, below, last_above, last_below = 1, 0, 0, 1  # convergents of the continued fraction
    p, q = (mantissa << exponent, 1) if exponent >= 0 else (mantissa, 1 << -exponent)
    x, y = p, q
    while y:
        part, rest = divmod(x, y)
        above, last_above = part * above + last_above, above
        below, last_below = part * below + last_below, below
        if below > _RECOGNISED:
            return value
        error = abs(p * below - q * above)
        if error == 0 or (error << noise) < p * below:
            return Fraction(-above if sign else above, below)
        x, y = y, rest
    return value
