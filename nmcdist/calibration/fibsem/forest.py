"""A random forest: trained by scikit-learn, kept as plain arrays, and evaluated by a kernel (Breiman, 2001)."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmcdist.calibration.fibsem.votes import MOST_FEATURES, levels_of, shares_of_nodes, vote, words_of
from nmcdist.errors import ImageError

TREES = 50
LEAST_PER_LEAF = 4  # labelled pixels
MOST_LEVELS = 12  # more cost time and add no accuracy
MOST_PIXELS = 8_000  # labelled pixels per class that are used


@dataclass(frozen=True, eq=False)
class Forest:
    """A forest of binary trees, all in one table of nodes; those of one pair of children are neighbours.

    Attributes
    ----------
    classes : tuple of int
        Label of each class, ascending.
    features : tuple of str
        Name of each feature.
    roots : ndarray of int32, shape (t,)
        First node of each tree.
    feature : ndarray of int32, shape (n,)
        Feature that a node compares; -1 in leaves.
    threshold : ndarray of float32, shape (n,)
        Values up to it go to `child`, larger ones to `child + 1`.
    child : ndarray of int32, shape (n,)
        In leaves: the row of `shares`.
    shares : ndarray of float32, shape (m, c)
        Share of each class among the training pixels of a leaf.
    """

    classes: tuple[int, ...]
    features: tuple[str, ...]
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    child: np.ndarray
    shares: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each class: the mean of the trees' shares.

        Parameters
        ----------
        features : ndarray of float32, shape (f, ...)

        Returns
        -------
        ndarray of float32, shape (c, ...)
        """
        flat = np.ascontiguousarray(features, np.float32).reshape(len(self.features), -1) + np.float32(0)  # no -0
        out = np.empty((len(self.classes), flat.shape[1]), np.float32)
        vote(flat.view(np.int32), self.roots, levels_of(self), words_of(self), shares_of_nodes(self), out)
        return out.reshape(-1, *features.shape[1:])

    def labels(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the label of the most probable class, the lower one of equals, shape without the first axis."""
        found: np.ndarray = np.array(self.classes)[probabilities.argmax(axis=0)]
        return found


@dataclass(frozen=True)
class Trained:
    """A forest and the votes of the trees that did not see a pixel in training (out of bag).

    Attributes
    ----------
    forest : Forest
    confusion : ndarray of int64, shape (c, c)
        Pixels by true class (rows) and class of the out-of-bag votes. Optimistic: the neighbours of a labelled pixel
        were mostly seen.
    importance : ndarray of float64, shape (f,)
        Share of the decrease of the Gini impurity that each feature brought.
    threshold : float or None
        Of two classes: the probability of the second above which as many labelled pixels lie, by out-of-bag votes, as
        belong to it. Training weighs the classes alike, so 1/2 favours the rare one; this threshold does not, if the
        labelled pixels hold the classes in the shares of the image, as whole areas do and single strokes may not.
    """

    forest: Forest
    confusion: np.ndarray
    importance: np.ndarray
    threshold: float | None = None


def train_forest(
    features: np.ndarray, labels: np.ndarray, names: Sequence[str], seed: int, trees: int = TREES
) -> Trained:
    """Train a forest on labelled pixels.

    Parameters
    ----------
    features : ndarray of float32, shape (n, f)
    labels : ndarray of int, shape (n,)
        Classes with over 8,000 pixels are thinned at random to that number.
    names : sequence of str
        Of the features.
    seed : int
        Seed in [0, 2^32).
    trees : int

    Returns
    -------
    Trained

    Raises
    ------
    ImageError
        If there are fewer than two classes, a class has fewer than ten pixels, or there are over 32 features.
    """
    from sklearn.ensemble import RandomForestClassifier

    if len(names) > MOST_FEATURES:
        raise ImageError(f"features: found {len(names)}, expected at most {MOST_FEATURES}")
    kept = _thinned(labels, seed)
    model = RandomForestClassifier(
        trees, max_depth=MOST_LEVELS, min_samples_leaf=LEAST_PER_LEAF, max_features="sqrt", random_state=seed,
        oob_score=True, n_jobs=1,
    )  # fmt: skip
    x, y = np.ascontiguousarray(features[kept], np.float32), labels[kept]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pixels without out-of-bag votes, which are left out below
        model.fit(x, y)
    votes = np.nan_to_num(model.oob_decision_function_)
    voted, true = votes.argmax(axis=1), np.searchsorted(model.classes_, y)
    got, count = votes.max(axis=1) > 0, len(model.classes_)  # without votes: every tree saw the pixel
    confusion = np.bincount(count * true[got] + voted[got], minlength=count**2).reshape(count, count)
    forest = _plain([tree.tree_ for tree in model.estimators_], model.classes_, names)
    threshold = _even_threshold(votes[got, 1], true[got], labels == model.classes_[1]) if count == 2 else None
    return Trained(forest, confusion, model.feature_importances_, threshold)


def _even_threshold(votes: np.ndarray, true: np.ndarray, labelled: np.ndarray) -> float:
    """Return the vote that the share `labelled` of pixels exceeds, each class weighed by its share before thinning."""
    share = np.array([1 - labelled.mean(), labelled.mean()])
    weight = (share / np.bincount(true, minlength=2))[true]
    order = np.argsort(votes, kind="stable")
    place = np.searchsorted(np.cumsum(weight[order]), share[0])
    return float(votes[order[min(int(place), len(order) - 1)]])


def _thinned(labels: np.ndarray, seed: int) -> np.ndarray:
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ImageError(f"scribbles: found labels of {len(classes)} class, expected at least two")
    if counts.min() < 10:
        rare = classes[counts.argmin()]
        raise ImageError(f"scribbles: found {counts.min()} pixels of class {rare}, expected at least 10")
    rng = np.random.Generator(np.random.Philox(seed))
    parts = [np.flatnonzero(labels == each) for each in classes]
    return np.sort(np.concatenate([
        part if len(part) <= MOST_PIXELS else rng.choice(part, MOST_PIXELS, replace=False) for part in parts
    ]))  # fmt: skip


def _plain(trees: Sequence[Any], classes: np.ndarray, names: Sequence[str]) -> Forest:
    """Renumber the nodes of trees, level by level, so that children are neighbours."""
    roots, feature, threshold, child, shares = [], [], [], [], []
    nodes = leaves = 0
    for tree in trees:
        order, place = [0], {}
        for node in order:  # grows while it is read
            if tree.children_left[node] >= 0:
                place[node] = len(order)
                order += [tree.children_left[node], tree.children_right[node]]
        old = np.array(order)
        is_leaf = tree.children_left[old] < 0
        roots.append(nodes)
        feature.append(np.where(is_leaf, -1, tree.feature[old]))
        threshold.append(_rounded_down(tree.threshold[old]))
        below = np.array([place.get(node, 0) for node in order]) + nodes
        child.append(np.where(is_leaf, np.cumsum(is_leaf) - 1 + leaves, below))
        counts = tree.value[old[is_leaf], 0]
        shares.append(counts / counts.sum(axis=1, keepdims=True))
        nodes, leaves = nodes + len(old), leaves + int(is_leaf.sum())
    return Forest(
        tuple(int(each) for each in classes), tuple(names), np.array(roots, np.int32),
        np.concatenate(feature).astype(np.int32), np.concatenate(threshold), np.concatenate(child).astype(np.int32),
        np.concatenate(shares).astype(np.float32),
    )  # fmt: skip


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """Return the largest float32 up to each threshold: comparisons of float32 values with either are the same."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near) + np.float32(0)  # no -0
