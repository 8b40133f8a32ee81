"""A photographed digit made like MNIST's: white ink on black, 28×28, found on its paper by itself.

The steps: even out the light, find ink and paper apart, take the strokes that belong together, thicken thin ones, fit
them into 20×20, and centre them by their mass.

Source for the last two: Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*: "size
normalized to fit in a 20x20 pixel box while preserving their aspect ratio … centered in a 28x28 image by computing the
center of mass of the pixels".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Shaped, UInt8

from epochal.errors import DataError

SIDE = 28
_BOX = 20  # the digit's longer side

_MOST_IN_FRAME = (
    0.1  # of the outermost pixels of a picture that is MNIST-like already: its mass, not its box, is centred
)

_EVEN = 2.0  # grey levels that the paper of a drawing may differ from its median
_LONGEST = 16  # times as long as it is wide
_SMALLEST_PHOTO = 64  # pixels of its shorter side
_WORKING_SIDE = 400  # larger photographs are reduced to about this first
_COARSE_SIDE = 64  # the light is estimated on so few pixels
_WINDOW = 0.5  # share of the shorter side
_STEEPEST_LIGHT = 18.0  # grey levels from one of those to the next; more is an edge
_LEAST_CONTRAST = 12.0  # grey levels between ink and paper
_LEAST_SIGNAL = 6.0  # the same in standard deviations of the paper's noise
_SPECK = 0.02  # parts below this share of the largest part's area are dirt
_NEAR = 0.25  # parts farther away than this share of the largest part's longer side are something else
_THINNEST = 0.08  # strokes below this share of the digit's longer side are thickened to it: 1.6 pixels of 20


@dataclass(frozen=True, slots=True, eq=False)
class Digit:
    """A digit as MNIST has them, and what was found in its photograph.

    Attributes:
        image: ``(28, 28)``, 0 for paper to 255 for ink.
        box: ``(top, left, bottom, right)`` of the digit in the photograph, in its pixels, half-open.
        dark_ink: whether the ink was darker than the paper.
        contrast: grey levels between ink and paper.
        thickened: by how many of the photograph's pixels the strokes were widened; 0 for most.
    """

    image: UInt8[np.ndarray, "28 28"]
    box: tuple[int, int, int, int]
    dark_ink: bool
    contrast: float
    thickened: float


@dataclass(frozen=True, slots=True, eq=False)
class _Strokes:
    """Ink found under the assumption that it is dark, or that it is light."""

    ink: Float64[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"]
    contrast: float

    @property
    def score(self) -> float:
        return float(self.ink[self.mask].sum())


def as_mnist_digit(grey: UInt8[np.ndarray, "h w"]) -> Digit:
    """Return the digit in a photograph as a picture like MNIST's.

    The paper may be unevenly lit and the ink dark or light. What touches the edge of the photograph (a shadow, the edge
    of the table) is not taken for the digit. A picture that already is like MNIST's comes back as it is, apart from
    exchanged black and white.

    Args:
        grey: ``(h, w)`` luminance, at least 8×8: one digit with some paper around it.

    Raises:
        DataError: if there is nothing but paper, or the digit touches the edge.
    """
    if min(grey.shape) < 8:
        raise DataError(
            f"a picture of {grey.shape[1]}×{grey.shape[0]} pixels is too small for a digit; take 28×28 or more"
        )
    if max(grey.shape) > _LONGEST * min(grey.shape):
        raise DataError(
            f"a picture of {grey.shape[1]}×{grey.shape[0]} pixels is a strip, and no digit; cut the digit out of it"
        )
    ready = _as_it_is(grey)
    if ready is not None:
        return ready

    # a small or evenly framed picture is drawn, scanned or cut out: the digit may fill it
    factor = max(1, round(max(grey.shape) / _WORKING_SIDE))
    small = _reduced(grey, factor)
    even = _even_paper(small)
    is_even = min(grey.shape) < _SMALLEST_PHOTO or np.ptp(np.quantile(_frame(small), (0.05, 0.95))) < _LEAST_CONTRAST
    strokes = found = None

    # only a drawing's digit may touch the edge: its paper has one value, which no photographed paper has
    lit, frame = _paper(small), _frame(small)
    is_drawn = np.mean(np.abs(frame - np.median(frame)) <= _EVEN) > 0.5
    for paper, ends in [even] if is_even else [lit, even if is_drawn else (even[0], lit[1])]:
        found = [_strokes(ink, ends) for ink in (paper - small, small - paper)]
        strokes = max((one for one in found if one is not None), key=lambda one: one.score, default=None)
        if strokes is not None:
            break
    if strokes is None or found is None:
        raise DataError(
            "no digit stands out from its paper; write it larger and darker, light it evenly, and leave paper around it"
        )

    ink, thickened = _even_ink(strokes)
    rows, columns = _extent(ink > 0.5)
    scale = _BOX / max(rows.stop - rows.start, columns.stop - columns.start)
    image = _placed(_scaled(ink[rows, columns], scale))
    top, left = rows.start * factor, columns.start * factor
    bottom, right = min(rows.stop * factor, grey.shape[0]), min(columns.stop * factor, grey.shape[1])
    return Digit(image, (top, left, bottom, right), strokes is found[0], strokes.contrast, thickened * factor)


def otsu(values: Float64[np.ndarray, " n"]) -> float:
    """Return the threshold that divides values into two classes with the greatest variance between them.

    Source: N. Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans. SMC 9 (1979).

    >>> 1 < otsu(np.array([0.0, 1.0, 1.0, 9.0, 10.0])) < 9
    True
    """
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * middles)
    above = below[-1] - below
    good = (below > 0) & (above > 0)
    low = np.divide(sums, below, where=good, out=np.zeros(256))
    high = np.divide(sums[-1] - sums, above, where=good, out=np.zeros(256))
    between = np.where(good, below.astype(np.float64) * above * (low - high) ** 2, 0.0)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))  # a gap without values is cut in its middle
    return float(edges[1:][best].mean())


def _as_it_is(grey: UInt8[np.ndarray, "h w"]) -> Digit | None:
    """Return a picture that is like MNIST's already, perhaps black on white: 28×28, framed, centred."""
    if grey.shape != (SIDE, SIDE):
        return None
    for image, dark in ((grey, False), (255 - grey, True)):
        if np.median(image) > 0 or np.mean(_frame(image) > 0) > _MOST_IN_FRAME or image.max() < 128:
            continue
        rows, columns = _extent(image > 0)
        longer = max(rows.stop - rows.start, columns.stop - columns.start)
        if _BOX - 2 <= longer <= _BOX + 1 and max(abs(at - 14) for at in _centre(image.astype(np.float64))) <= 1:
            return Digit(
                image.copy(), (rows.start, columns.start, rows.stop, columns.stop), dark, float(image.max()), 0.0
            )
    return None


def _frame(image: Shaped[np.ndarray, "h w"]) -> Shaped[np.ndarray, " n"]:
    """Return the outermost pixels."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _reduced(grey: UInt8[np.ndarray, "h w"], factor: int) -> Float64[np.ndarray, "small_h small_w"]:
    """Return the means of squares of ``factor`` pixels; a rest at the lower and right edge is repeated to fill them."""
    padded = np.pad(grey, [(0, -size % factor) for size in grey.shape], mode="edge")
    height, width = (size // factor for size in padded.shape)
    return np.asarray(padded.reshape(height, factor, width, factor).mean(axis=(1, 3)))


def _even_paper(small: Float64[np.ndarray, "h w"]) -> tuple[Float64[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Return how bright the paper is where light falls evenly or from a side: a plane through the frame's pixels.

    It ends nowhere.
    """
    rows, columns = np.mgrid[: small.shape[0], : small.shape[1]].astype(np.float64)
    terms = np.stack([np.ones_like(small), rows / len(small), columns / small.shape[1]], axis=-1)
    frame, values = np.stack([_frame(terms[..., at]) for at in range(3)], axis=1), _frame(small)
    near = np.abs(values - np.median(values)) <= 3 * np.quantile(np.abs(values - np.median(values)), 0.75) + 1
    plane = np.linalg.lstsq(frame[near], values[near], rcond=None)[0]
    return terms @ plane, np.zeros(small.shape, bool)


def _paper(small: Float64[np.ndarray, "h w"]) -> tuple[Float64[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Return how bright the paper is everywhere, and where it ends: at the frame, and at edges of table or shadow.

    The light is a median over half the picture, which ink never fills. Unlike a mean it keeps an edge where it is.
    """
    from scipy import ndimage

    factor = max(1, round(max(small.shape) / _COARSE_SIDE))
    coarse = _scaled(small, 1 / factor)
    window = max(3, int(_WINDOW * min(coarse.shape)) | 1)
    light = ndimage.gaussian_filter(ndimage.median_filter(coarse, size=window, mode="nearest"), 1.0, mode="nearest")

    steep = np.hypot(*np.gradient(light)) > _STEEPEST_LIGHT
    ends = _resized(ndimage.binary_dilation(steep, iterations=1).astype(np.float64), small.shape) > 0.5
    ends[[0, -1]] = ends[:, [0, -1]] = True
    return _resized(light, small.shape), ends


def _strokes(ink: Float64[np.ndarray, "h w"], ends: Bool[np.ndarray, "h w"]) -> _Strokes | None:
    """Return the digit among what is above the paper, or ``None`` where nothing stands out.

    What reaches to where the paper ``ends`` is not the digit.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(ink, max(ink.shape) / _WORKING_SIDE, mode="nearest")
    noise = 1.4826 * float(np.median(np.abs(smooth - np.median(smooth)))) if ends.any() else 0.0
    least = max(_LEAST_CONTRAST, _LEAST_SIGNAL * noise)
    if smooth.max() < least:
        return None

    # a shadow that is darker than the ink must not set the threshold
    inside = np.clip(smooth, 0, None)
    for _ in range(2):
        mask = inside > max(least / 2, otsu(inside.ravel()))
        inside[ndimage.binary_dilation(_reaching(mask, ends), iterations=3)] = 0
    mask = _digit(mask & (inside > 0))
    if mask is None:
        return None
    contrast = float(np.median(smooth[mask]))
    return _Strokes(smooth, mask, contrast) if contrast >= least else None


def _digit(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Return the largest part, with the parts near it that are no specks."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    largest = int(np.argmax(sizes))
    if sizes[largest] < 4:
        return None

    rows, columns = _extent(labels == largest)
    reach = _NEAR * max(rows.stop - rows.start, columns.stop - columns.start)
    away = ndimage.distance_transform_edt(labels != largest)
    nearest = ndimage.minimum(away, labels, np.arange(count + 1))
    kept = (sizes > _SPECK * sizes[largest]) & (np.asarray(nearest) <= reach)
    return np.asarray(kept[labels])


def _reaching(mask: Bool[np.ndarray, "h w"], ends: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the connected parts of ``mask`` that reach into ``ends``."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    reaching = np.zeros(count + 1, bool)
    reaching[labels[ends]] = True
    reaching[0] = False
    return np.asarray(reaching[labels])


def _even_ink(strokes: _Strokes) -> tuple[Float64[np.ndarray, "h w"], float]:
    """Return the strokes as evenly inked, 0 to 1, and by how many pixels they were thickened.

    A thin pen's line would nearly vanish in 20×20 pixels; MNIST's strokes are about two pixels wide.
    """
    from scipy import ndimage

    mask = strokes.mask
    ramp = np.clip(2 * strokes.ink / strokes.contrast - 0.5, 0, 1)
    ink = np.where(ndimage.binary_dilation(mask, iterations=2), ramp, 0.0)

    # across a bar of width w the distances to its sides are w / 4 on average, and half a pixel more in a grid
    width = 4 * float(ndimage.distance_transform_edt(mask)[mask].mean()) - 2
    rows, columns = _extent(mask)
    missing = _THINNEST * max(rows.stop - rows.start, columns.stop - columns.start) - width
    if missing <= 0:
        return ink, 0.0
    away = ndimage.distance_transform_edt(~mask)
    return np.maximum(ink, np.clip(missing / 2 + 1 - away, 0, 1)), missing


def _extent(mask: Bool[np.ndarray, "h w"]) -> tuple[slice, slice]:
    """Return the rows and the columns between the first and the last true value."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _centre(image: Float64[np.ndarray, "h w"]) -> tuple[float, float]:
    """Return the row and the column of the centre of mass."""
    total = image.sum()
    down, across = (image.sum(axis=1 - axis) @ np.arange(image.shape[axis]) / total for axis in (0, 1))
    return float(down), float(across)


def _placed(digit: Float64[np.ndarray, "h w"]) -> UInt8[np.ndarray, "28 28"]:
    """Return a digit of at most 20×20 on 28×28 black pixels, its centre of mass in the middle: at 14, as in MNIST."""
    field = np.zeros((SIDE, SIDE))
    corner = [min(max(round(14 - at), 0), SIDE - size) for at, size in zip(_centre(digit), digit.shape, strict=True)]
    field[corner[0] : corner[0] + digit.shape[0], corner[1] : corner[1] + digit.shape[1]] = digit
    return np.asarray(np.rint(255 * np.clip(field / field.max(), 0, 1)), np.uint8)


def _scaled(image: Float64[np.ndarray, "h w"], scale: float) -> Float64[np.ndarray, "new_h new_w"]:
    """Return the image with both sides multiplied by ``scale``, at least one pixel each."""
    return _resized(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))


def _resized(image: Float64[np.ndarray, "h w"], shape: tuple[int, ...]) -> Float64[np.ndarray, "new_h new_w"]:
    """Return the image in another shape, each pixel a weighted mean, so that nothing aliases."""
    down, across = (_weights(before, after) for before, after in zip(image.shape, shape, strict=True))
    return np.asarray(down @ image @ across.T)


def _weights(before: int, after: int) -> Float64[np.ndarray, "after before"]:
    """Return how much each old pixel counts for each new one: a triangle over the new pixel and half its neighbours."""
    ratio = before / after
    middles = (np.arange(after) + 0.5) * ratio - 0.5
    weights = np.clip(1 - np.abs(np.arange(before) - middles[:, None]) / max(1.0, ratio), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
