"""Units of measurement: what a word or a compound such as ``km/h`` measures, and how many base units it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from widthwise.evals.grading.lexicon import NUMBER_NOUNS, SCALES, WORDS

_TABLE = {
    "length": "mm 0.001 millimeter 0.001 cm 0.01 centimeter 0.01 dm 0.1 decimeter 0.1 m 1 meter 1 km 1000 "
    "kilometer 1000 "
    "in 0.0254 inch 0.0254 ft 0.3048 foot 0.3048 feet 0.3048 yd 0.9144 yard 0.9144 mi 1609.344 mile 1609.344 nm 1e-9 "
    "nanometer 1e-9 um 1e-6 micrometer 1e-6 pm 1e-12 Å 1e-10 angstrom 1e-10",
    "mass": "mg 0.001 milligram 0.001 g 1 gram 1 kg 1000 kilogram 1000 ton 1000000 tonne 1000000 lb 453.59237 "
    "pound 453.59237 oz 28.349523125 ounce 28.349523125",
    "time": "ms 0.001 millisecond 0.001 s 1 sec 1 second 1 min 60 minute 60 h 3600 hr 3600 hour 3600 day 86400 "
    "week 604800",
    "month": "month 1 year 12 yr 12",
    "volume": "ml 0.001 mL 0.001 milliliter 0.001 l 1 L 1 liter 1 gallon 3.785411784 quart 0.946352946 "
    "cup 0.2365882365",
    "force": "N 1 newton 1 kN 1000 dyne 0.00001", "energy": "J 1 joule 1 kJ 1000 kcal 4184 cal 4.184 erg 1e-7",
    "energy of a charge": "eV 1 keV 1000 MeV 1e6 GeV 1e9", "power": "W 1 watt 1 kW 1000 MW 1e6",
    "pressure": "Pa 1 pascal 1 kPa 1000 MPa 1e6 atm 101325", "voltage": "V 1 volt 1 mV 0.001 kV 1000",
    "current": "A 1 amp 1 ampere 1 mA 0.001", "resistance": "ohm 1 Ω 1 kΩ 1000 kohm 1000",
    "temperature": "K 1 kelvin 1", "celsius": "C 1 celsius 1", "fahrenheit": "F 1 fahrenheit 1",
    "amount": "mol 1 mole 1", "frequency": "Hz 1 hertz 1 kHz 1000 MHz 1e6", "charge": "coulomb 1",
    "magnetic field": "T 1 tesla 1 gauss 0.0001", "angle": "rad 1 radian 1", "": "unit 1 degree 1 way 1",
    "dollar": "dollar 1", "cent": "cent 1", "euro": "euro 1 € 1", 
    "sterling": "£ 1 sterling 1", "yuan": "yuan 1 元 1 rmb 1",
    "yen": "yen 1 ¥ 1",
    "knot": "knot 1", "dollars of the US": "USD 1", "people": "people 1 person 1", "sheep": "sheep 1", "fish": "fish 1",
    "children": "child 1 children 1", "men": "man 1 men 1", "women": "woman 1 women 1", "grade": "grade 1",
}  # fmt: skip
_SHORTHAND = {"mph": "mile/hour", "kph": "km/h", "kmh": "km/h", "sqft": "ft^2"}
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_PART = re.compile(r"\s*(per\b|[/*·.\s-]|[A-Za-zΩÅ€£¥元]+|\^?\{?\(?(-?\d)\)?\}?)")
MAX_PARTS = 24


@dataclass(frozen=True, slots=True)
class Unit:
    """``scale`` base units of the ``dimensions``, each with its power; without dimensions, a plain count."""

    scale: Fraction = Fraction(1)
    dimensions: tuple[tuple[str, int], ...] = ()

    def __mul__(self, other: Unit) -> Unit:
        powers = dict(self.dimensions)
        for name, power in other.dimensions:
            powers[name] = powers.get(name, 0) + power
        return Unit(self.scale * other.scale, tuple(sorted((n, p) for n, p in powers.items() if p)))

    def __pow__(self, exponent: int) -> Unit:
        return Unit(self.scale**exponent, tuple((name, power * exponent) for name, power in self.dimensions))


def _known() -> dict[str, Unit]:
    found = {}
    for dimension, row in _TABLE.items():
        words = row.split()
        for name, scale in zip(words[::2], words[1::2], strict=True):
            found[name] = Unit(Fraction(scale), ((dimension, 1),) if dimension else ())
    return found


UNITS = _known()


def read_unit(text: str, spoken: bool = True) -> Unit | None:
    """The unit that the whole ``text`` names; None if it names none.

    ``spoken``: single letters count, and so do plural nouns for what is counted.
    """
    parts = _PART.findall(text)
    if not parts or len(parts) > MAX_PARTS or _PART.sub("", text).strip():
        return None
    return _compound([(part.strip(), power) for part, power in parts], spoken)


def _compound(parts: list[tuple[str, str]], spoken: bool) -> Unit | None:
    total, last, sign, raised, compound = Unit(), None, 1, 1, len(parts) > 1
    for part, power in parts:
        if part in _POWERS and last is None:
            raised = _POWERS[part]
        elif power or part in _POWERS:
            if last is None:
                return None
            total, last = total * last ** (int(power or _POWERS[part]) - 1), None
        elif part in ("/", "per"):
            sign, last = -1, None
        elif part[:1].isalpha() or part in UNITS:
            named = _named(part, spoken, compound)
            if named is None:
                return None
            last, raised = named ** (sign * raised), 1
            total = total * last
    return total if raised == 1 else None


def _named(word: str, spoken: bool, compound: bool) -> Unit | None:
    if word in _SHORTHAND:
        return read_unit(_SHORTHAND[word])
    if word in UNITS and (spoken or compound or len(word) > 1):
        return UNITS[word]
    lower = word.lower().replace("metre", "meter").replace("litre", "liter")
    for singular in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if len(singular) > 2 and singular in UNITS:
            return UNITS[singular]
    return _noun(lower) if spoken else None


def _noun(word: str) -> Unit | None:
    counted = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    if not counted or word in NUMBER_NOUNS or word in WORDS or word.removesuffix("s") in SCALES:
        return None
    return Unit(Fraction(1), ((f"{word}", 1),))
