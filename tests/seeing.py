"""How far apart two colours look, to normal eyes and to eyes without green cones.

`distance` counts noticeable differences: one is what half of the viewers notice side by side
between marks of a third of a degree (3 mm at half a metre, the smallest that were shown), by the
model of Stone, Szafir and Setlur, "An engineering model for color difference as a function of
size", CIC 2014. It grows in proportion to the share of viewers, so that at 2 all of them do.
"""

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.typing import ColorType

Array = npt.NDArray[np.float64]

#: What colours of categories must keep, and neighbours on an ordered scale.
FLOOR, ORDERED_FLOOR = 2.0, 1.0

NORMAL = np.eye(3)
#: Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
#: deficiency", IEEE TVCG 15(6), 2009: deuteranomaly of severity 1.0, on linear RGB.
DEUTERANOPIC = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
_MARK_DEGREES = 1 / 3
_NOTICED = np.array([5.079, 5.339, 5.349]) + np.array([0.751, 1.541, 2.871]) / _MARK_DEGREES
# sRGB to CIE XYZ (IEC 61966-2-1).
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(colour: ColorType) -> Array:
    rgb: Array = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(colour: ColorType, eyes: Array) -> Array:
    """CIE Lab of a colour as these eyes see it."""
    seen = np.clip(eyes @ linear(colour), 0, 1)
    share = _XYZ @ seen / _XYZ.sum(axis=1)
    root = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: ColorType, other: ColorType, eyes: Array | None = None) -> float:
    """Noticeable differences between two colours; to the worse eyes if none are given."""
    if eyes is None:
        return min(distance(one, other, these) for these in (NORMAL, DEUTERANOPIC))
    return float(np.linalg.norm((lab(one, eyes) - lab(other, eyes)) / _NOTICED))


def contrast(colour: ColorType) -> float:
    """Contrast of a colour against white, by WCAG 2.1."""
    return float(1.05 / (np.array([0.2126, 0.7152, 0.0722]) @ linear(colour) + 0.05))
