"""The data sets that have a name: their sizes, sources, licences, files and hashes, known without loading anything.

Standard library only, because ``epochal plan --data NAME`` answers from here at once.

SHA-256 sums: MNIST's were computed from files that have the MD5 sums of the public loaders; those of Fashion-MNIST
and KMNIST are published side by side with those loaders' MD5 sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from epochal.errors import DataError, unknown_name

State: TypeAlias = Literal["embedded", "made on first use", "cached", "from EPOCHAL_DATA", "needs download"]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a download: its name, its exact size in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Description:
    """What can be said of a named data set before it is loaded.

    >>> mnist = describe("mnist")
    >>> mnist.train, mnist.test, mnist.sample_shape, len(mnist.class_names)
    (60000, 10000, (28, 28), 10)

    Attributes:
        name: the word for the command line and `load_data`.
        title: what it is, in a line.
        train: training samples.
        test: test samples.
        sample_shape: the shape of one sample.
        class_names: one name for each class.
        source: who made it, and where it is described.
        licence: under which terms.
        files: what a download fetches: training images and labels, test images and labels.
        mirrors: addresses that serve these files, tried in turn.
        fingerprint: of the loaded `Dataset`, where it is known beforehand.
    """

    name: str
    title: str
    train: int
    test: int
    sample_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    source: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    fingerprint: str | None = None

    @property
    def download_bytes(self) -> int:
        """Size of the download; 0 where nothing needs one."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Available:
    """A named data set and how it can be had here and now; ``folder`` is where its files lie, or would."""

    description: Description
    state: State
    folder: Path | None


def describe(name: str) -> Description:
    """Return what is known of a named data set.

    Raises:
        DataError: for an unknown name, with the nearest one.
    """
    if name not in DATA_SETS:
        raise DataError(unknown_name("data set", name, DATA_SETS))
    return DATA_SETS[name]


def available() -> list[Available]:
    """Return every named data set and its state, without reading any data."""
    return [_available(description) for description in DATA_SETS.values()]


def generated_file(description: Description) -> str:
    """Return the file name that keeps a generated set; it changes with the content."""
    return f"{description.name}-{(description.fingerprint or '')[:12]}.npz"


def _available(description: Description) -> Available:
    from epochal.data.storage import cache_folder, own_folder

    if description.name == "digits":
        return Available(description, "embedded", None)
    folder = cache_folder(description.name)
    if not description.files:
        made = (folder / generated_file(description)).is_file()
        return Available(description, "cached" if made else "made on first use", folder)
    own = own_folder(description.name)
    if own is not None:
        return Available(description, "from EPOCHAL_DATA", own)
    paths = [(folder / file.name, file.size) for file in description.files]
    complete = all(path.is_file() and path.stat().st_size == size for path, size in paths)
    return Available(description, "cached" if complete else "needs download", folder)


def _idx_files(*sizes_and_sums: tuple[int, str]) -> tuple[RemoteFile, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    pairs = zip(names, sizes_and_sums, strict=True)
    return tuple(RemoteFile(f"{name}-ubyte.gz", size, sha256) for name, (size, sha256) in pairs)


_TEN_DIGITS = tuple("0123456789")

DATA_SETS: Mapping[str, Description] = MappingProxyType(
    {
        description.name: description
        for description in (
            Description(
                "digits",
                "handwritten digits, 8×8, embedded: needs no network",
                train=1_437,
                test=360,
                sample_shape=(8, 8),
                class_names=_TEN_DIGITS,
                source="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI; "
                "the 1,797 images that come with scikit-learn",
                licence="CC BY 4.0",
                fingerprint="d9e5fc2047ee94f277a75adf615cd3d8376e8263750f371764da39c9c1ec84c7",
            ),
            Description(
                "digits-60k",
                "MNIST's size without a network: warped images of digits, 28×28",
                train=60_000,
                test=10_000,
                sample_shape=(28, 28),
                class_names=_TEN_DIGITS,
                source="made from digits by seeded rotation, scale, shear, shift and elastic warps; no image of the "
                "test split shares its source image with the training split",
                licence="CC BY 4.0",
                fingerprint="0e8c462408753116c880115438aaebcce8dee739a8b87a628953cd5aa1cc9654",
            ),
            Description(
                "mnist",
                "handwritten digits, 28×28",
                train=60_000,
                test=10_000,
                sample_shape=(28, 28),
                class_names=_TEN_DIGITS,
                source="Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits",
                licence="CC BY-SA 3.0",
                files=_idx_files(
                    (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
                    (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
                    (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
                    (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
                ),
                mirrors=(
                    "https://ossci-datasets.s3.amazonaws.com/mnist/",
                    "https://storage.googleapis.com/cvdf-datasets/mnist/",
                ),
                fingerprint="bc01c44f832354563964ec33062102877180430b91e43e43b23ce21f7fb7cb59",
            ),
            Description(
                "fashion-mnist",
                "pictures of clothing, 28×28",
                train=60_000,
                test=10_000,
                sample_shape=(28, 28),
                class_names=(
                    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
                    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
                ),
                source="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv:1708.07747; Zalando",
                licence="MIT",
                files=_idx_files(
                    (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
                    (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
                    (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
                    (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
                ),
                mirrors=(
                    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                ),
            ),
            Description(
                "kmnist",
                "cursive Japanese characters, 28×28",
                train=60_000,
                test=10_000,
                sample_shape=(28, 28),
                class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
                source="T. Clanuwat et al.: Deep Learning for Classical Japanese Literature, arXiv:1812.01718; CODH",
                licence="CC BY-SA 4.0",
                files=_idx_files(
                    (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
                    (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
                    (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
                    (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
                ),
                mirrors=(
                    "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                ),
            ),
        )
    }
)
