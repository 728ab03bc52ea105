"""Data: the named sets are what they say, files and arrays are checked before anything is computed."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from gradlab._errors import GradlabError, GradlabNote
from gradlab.data import balanced, load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = np.arange(20) % 4


def test_digits_are_scikit_learns_standardised_over_the_whole_set():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    data = load("digits", dtype="float64")
    spread = images.std(0)
    wanted = (images - images.mean(0)) / np.where(spread > 0, spread, 1)
    np.testing.assert_allclose(data.x, wanted, atol=1e-14)
    np.testing.assert_array_equal(data.y, labels)
    constant = spread == 0
    assert constant.sum() == 3 and (data.x[:, constant] == 0).all()
    np.testing.assert_allclose(data.x[:, ~constant].std(0), 1, rtol=1e-12)
    assert (data.name, data.classes) == ("digits", 10)


def test_a_batch_of_digits_is_balanced_fixed_and_taken_from_the_standardised_set():
    whole, batch = load("digits"), load("digits", batch=128)
    assert sorted(np.bincount(batch.y)) == [12, 12] + [13] * 8
    assert load("digits", batch=128, key=7).content_hash == batch.content_hash
    rows = {row.tobytes() for row in whole.x}
    assert all(row.tobytes() in rows for row in batch.x)
    # a larger batch begins with the smaller one where that is a multiple of the classes
    np.testing.assert_array_equal(load("digits", batch=40).x, batch.x[:40])


def test_balanced_takes_the_classes_in_turn_and_more_of_one_where_another_ends():
    y = np.array([0, 0, 0, 0, 0, 1, 2, 2])
    assert balanced(y, 6).tolist() == [0, 5, 6, 1, 7, 2]
    assert np.bincount(y[balanced(y, 8)]).tolist() == [5, 1, 2]


@pytest.mark.parametrize("q0", [0.5, 2.0])
@pytest.mark.parametrize("c0", [0.0, 0.7, 0.999])
def test_gaussian_has_the_mean_square_and_the_correlation_asked_for(q0, c0):
    n = 1000
    x = load("gaussian", batch=n, q0=q0, c0=c0, dtype="float64").x
    gram = x @ x.T / x.shape[1]
    # the standard error of both, by the 64 n independent normals and the normals shared by all
    error = 5 * q0 * (np.sqrt(2 / (64 * n)) * (1 - c0) + 2 * np.sqrt(c0 * (1 - c0) / (64 * n)))
    assert abs(np.trace(gram) / n - q0) < error
    assert abs((gram.sum() - np.trace(gram)) / (n * (n - 1)) - q0 * c0) < error


def test_gaussian_labels_are_a_teachers_and_do_not_depend_on_scale_correlation_or_batch():
    data = load("gaussian", batch=100)
    assert np.bincount(data.y).tolist() == [10] * 10
    for other in (load("gaussian", batch=100, q0=9.0), load("gaussian", batch=100, c0=0.9)):
        np.testing.assert_array_equal(other.y, data.y)
    assert load("gaussian", batch=100, key=1).content_hash != data.content_hash
    assert load("gaussian", batch=100).content_hash == data.content_hash
    # a linear function of the inputs tells more than chance what the label is
    train = load("gaussian", batch=2000, dtype="float64")
    weights = np.linalg.lstsq(train.x, np.eye(10)[train.y], rcond=None)[0]
    assert ((train.x @ weights).argmax(1) == train.y).mean() > 0.7


def test_circle_is_one_great_circle_labelled_by_angle():
    data = load("circle", batch=50, q0=3.0, dtype="float64")
    np.testing.assert_allclose((data.x**2).mean(1), 3.0, rtol=1e-12)
    assert np.linalg.matrix_rank(data.x, tol=1e-9) == 2
    cosine = (data.x * np.roll(data.x, -1, 0)).sum(1) / (3.0 * 64)
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi / 50), rtol=1e-12)
    assert data.y.tolist() == [i // 5 for i in range(50)]


def neighbour(train, labels, points):
    """The class of the nearest point."""
    return labels[np.argmin(np.sum(train**2, 1) - 2 * points @ train.T, 1)]


def linear(train, labels, points):
    """The class of the largest least-squares output."""
    one = lambda x: np.c_[x, np.ones(len(x))]
    return (one(points) @ np.linalg.lstsq(one(train), np.eye(labels.max() + 1)[labels], rcond=None)[0]).argmax(1)


def test_spirals_follow_the_shape_of_lang_and_witbrock():
    """From radius and angle back to the spiral: |noise| is below 5 standard deviations across it."""
    data = load("spirals", dtype="float64")
    assert data.x.shape == (1000, 2) and data.classes == 3 and np.bincount(data.y).tolist() == [334, 333, 333]
    x = data.x * (15.25 / 2 + 0.01) ** 0.5
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    turns = 3 * (6.5 - radius) / 6 + data.y / 3 - angle / (2 * np.pi)
    off = turns - np.round(turns)  # of a turn; spirals are 2/3 apart, one turn is 2
    assert np.max(np.abs(2 * off)) < 5 * 0.1 * 1.3  # inside, an error of the angle counts too
    assert np.std(2 * off[radius > 2]) == pytest.approx(0.1, rel=0.25)
    # mean 0 and mean square 1, to 5 standard errors: a feature's square has a standard deviation below 1.1
    assert np.all(np.abs(data.x.mean(0)) < 5 / 1000**0.5)
    assert np.all(np.abs((data.x**2).mean(0) - 1) < 5 * 1.1 / 1000**0.5)


def test_spirals_are_hard_for_a_line_and_easy_for_a_neighbour():
    """Below five standard errors of guessing 200 labels in 3 classes; a neighbour along the spiral is nearest."""
    data = load("spirals", dtype="float64")
    train, test = np.arange(800), np.arange(800, 1000)
    share = lambda rule: (rule(data.x[train], data.y[train], data.x[test]) == data.y[test]).mean()
    assert share(linear) < 1 / 3 + 5 * (2 / 9 / 200) ** 0.5 and share(neighbour) > 0.9
    smaller = load("spirals", batch=60)
    np.testing.assert_array_equal(smaller.x, data.x[:60].astype("float32"))
    assert np.bincount(smaller.y).tolist() == [20] * 3 and load("spirals", batch=2).classes == 3
    assert load("spirals", batch=60).content_hash == smaller.content_hash
    assert load("spirals", batch=60, key=1).content_hash != smaller.content_hash


def test_without_noise_mnist1d_is_its_templates_padded_resampled_and_shifted(monkeypatch):
    """Beside every padding and shift of every template; all of them occur, within three standard errors."""
    from gradlab.data import mnist1d as home

    for name in ("_CORRELATED", "_NOISE", "_SLOPES"):
        monkeypatch.setattr(home, name, 0.0)
    x, y = home.mnist1d(500, 3)
    candidates, truth = [], []
    for label, curve in enumerate(home.TEMPLATES):
        curve = (curve - curve[0]) / np.std(curve)
        for padding in range(36, 61):
            long = np.concatenate([curve, np.zeros(padding)])
            long = np.interp(np.linspace(0, 1, 72), np.linspace(0, 1, len(long)), long)
            for shift in range(48):
                candidates.append(np.interp(np.linspace(0, 1, 40), np.linspace(0, 1, 72), np.roll(long, shift)))
                truth.append((label, padding, shift))
    row = lambda v: (v - v.mean(1, keepdims=True)) / (v.std(1, keepdims=True) * v.shape[1] ** 0.5)
    correlation = row(x) @ row(np.array(candidates)).T
    label, padding, shift = np.array(truth)[correlation.argmax(1)].T
    np.testing.assert_allclose(correlation.max(1), 1, atol=1e-12)
    np.testing.assert_array_equal(label, y)
    for found, low, high in ((padding, 36, 60), (shift, 0, 47)):
        assert found.min() < low + 3 and found.max() > high - 3
        assert abs(found.mean() - (low + high) / 2) < 3 * ((high - low + 1) / 12**0.5) / 500**0.5


def test_the_noise_of_mnist1d_is_smoothed_by_a_gaussian_kernel():
    from scipy.ndimage import gaussian_filter

    from gradlab.data.mnist1d import _smoothing

    noise = RNG.normal(size=72)
    np.testing.assert_allclose(noise @ _smoothing(), gaussian_filter(noise, 2), atol=1e-14)


def test_mnist1d_is_a_standardised_set_that_a_line_tells_poorly_and_a_neighbour_better():
    """In the paper logistic regression gets 32 % right; no linear rule is five standard errors above that."""
    data = load("mnist1d", dtype="float64")
    assert data.x.shape == (5000, 40) and data.classes == 10 and np.bincount(data.y).tolist() == [500] * 10
    assert abs(data.x.mean()) < 1e-12 and data.x.std() == pytest.approx(1, rel=1e-12)
    train, test = np.arange(4000), np.arange(4000, 5000)
    share = lambda rule: (rule(data.x[train], data.y[train], data.x[test]) == data.y[test]).mean()
    assert 0.1 < share(linear) < 0.32 + 5 * (0.32 * 0.68 / 1000) ** 0.5 < 0.5 < share(neighbour)


def test_a_batch_of_mnist1d_is_balanced_and_its_steps_are_a_sequence():
    whole, batch = load("mnist1d"), load("mnist1d", batch=64)
    np.testing.assert_array_equal(batch.x, whole.x[:64])
    assert sorted(np.bincount(batch.y)) == [6] * 6 + [7] * 4 and load("mnist1d", batch=3).classes == 10
    steps = load("mnist1d_steps", batch=64)
    np.testing.assert_array_equal(steps.x, batch.x[..., None])
    assert steps.x.shape == (64, 40, 1) and steps.content_hash != batch.content_hash
    assert load("mnist1d", batch=64).content_hash == batch.content_hash
    assert load("mnist1d", batch=64, key=1).content_hash != batch.content_hash
    assert load("mnist1d", batch=5010).x.shape == (5010, 40)


def test_digits_are_images_or_rows_too():
    whole = load("digits", batch=30)
    for name, shape in (("digits_images", (8, 8, 1)), ("digits_rows", (8, 8))):
        data = load(name, batch=30)
        np.testing.assert_array_equal(data.x, whole.x.reshape(30, *shape))
        np.testing.assert_array_equal(data.y, whole.y)
        assert (data.name, data.classes) == (name, 10) and data.content_hash != whole.content_hash


@pytest.mark.parametrize("length", [6, 40, 100])
def test_the_adding_problem(length):
    data = load("adding", batch=500, length=length, loss="mse", dtype="float64")
    value, marker = data.x[..., 0], data.x[..., 1]
    assert data.x.shape == (500, length, 2) and data.classes == 1
    assert np.all(np.abs(value) <= 1) and np.all(marker[:, -1] == -1)
    marked = marker == 1
    assert np.all(marked.sum(1) == 2) and not marked[:, length // 2 - 1 :].any()
    assert np.all(marked[:, :10].any(1))
    np.testing.assert_allclose(data.y, 0.5 + (value * marked).sum(1) / 4, rtol=1e-15)
    first = marked[:, 0]
    assert first.any() and np.all(value[first, 0] == 0) and np.all(marker[~first, 0] == -1)
    assert set(np.flatnonzero(marked.any(0))) == set(range(length // 2 - 1))  # every place occurs


def test_the_copying_problem():
    data = load("copying", batch=64, length=50)
    assert data.x.shape == (64, 50, 10) and np.all(data.x.sum(-1) == 1)
    symbols = data.x.argmax(-1)
    assert np.all(symbols[:, :10] < 8) and np.all(symbols[:, 10:-1] == 8) and np.all(symbols[:, -1] == 9)
    np.testing.assert_array_equal(symbols[:, 0], data.y)
    assert np.bincount(data.y).tolist() == [8] * 8 and load("copying", batch=3).classes == 8


def test_characters_are_windows_of_the_text_that_ships_with_python():
    from pydoc_data.topics import topics

    from gradlab.data.sequences import CHARACTERS

    assert len(set(CHARACTERS)) == 97
    text = "".join(c if c in CHARACTERS else CHARACTERS[-1] for c in "\n".join(topics[k] for k in sorted(topics)))
    data = load("characters", batch=20, length=30)
    assert data.x.shape == (20, 30, 97) and data.classes == 97
    for window, after in zip(data.x.argmax(-1), data.y, strict=True):
        assert "".join(CHARACTERS[i] for i in (*window, after)) in text


@pytest.mark.parametrize("name", ["adding", "copying", "characters"])
def test_sequences_are_made_from_the_key(name):
    data = load(name, batch=10)
    assert data.x.shape[:2] == (10, 100) and load(name).x.shape[0] == 128
    assert load(name, batch=10, length=100).content_hash == data.content_hash
    assert load(name, batch=10, key=1).content_hash != data.content_hash


def test_arrays_are_taken_as_they_are():
    data = load((X.reshape(20, 1, 3), Y))
    np.testing.assert_array_equal(data.x, X.astype("float32").reshape(20, 1, 3))
    assert data.x.dtype == np.float32 and data.y.dtype == np.int32
    assert (data.name, data.classes) == ("arrays", 4)
    real = load((X, X[:, :2]), loss="mse", dtype="float64")
    assert real.y.dtype == np.float64 and real.classes == 2
    assert load((X, X[:, 0])).classes == 1
    assert load((X, Y > 1)).classes == 2
    assert load((X, Y[:, None])).y.shape == (20,)


def test_jax_arrays_and_data_frames_are_arrays_too():
    import jax.numpy as jnp

    wanted = load((X.astype("float32"), Y)).content_hash
    assert load((jnp.asarray(X, "float32"), jnp.asarray(Y, "int32"))).content_hash == wanted
    assert load((pd.DataFrame(X.astype("float32")), pd.Series(Y))).content_hash == wanted
    assert load((jnp.asarray(X, "bfloat16"), Y)).x.shape == X.shape


def test_classes_are_those_of_the_whole_data_not_of_the_batch():
    assert load((X, Y), batch=2).classes == 4


def test_the_content_hash_is_of_content_dtype_and_shape():
    base = load((X, Y))
    changed = X.copy()
    changed[3, 1] += 1e-3
    others = [load((changed, Y)), load((X, Y[::-1])), load((X, Y), dtype="float64"), load((X, Y), batch=10)]
    assert len({base.content_hash, *(o.content_hash for o in others)}) == 5


B = np.arange(20) ** 2


@pytest.fixture
def files(tmp_path):
    table = pd.DataFrame({"a": X[:, 0], "b": B, "label": Y})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", x=X, y=Y, other=Y)
    np.savez(tmp_path / "two.npz", pixels=X, kind=Y)
    return tmp_path


def test_files_hold_the_same_as_arrays(files):
    tables = [load(files / f"t.{ending}", target="label") for ending in ("csv", "parquet")]
    wanted = load((np.stack([X[:, 0], B], 1), Y))
    assert {t.content_hash for t in tables} == {wanted.content_hash}
    assert tables[0].name == "t"
    wanted = load((X, Y)).content_hash
    assert load(str(files / "t.npz")).content_hash == wanted
    assert load(files / "t.npz", target="other").content_hash == wanted
    assert load(files / "two.npz", target="kind").content_hash == wanted


def test_a_file_called_like_a_set_is_the_file(files):
    (files / "t.csv").rename(files / "gaussian.csv")
    assert load(files / "gaussian.csv", target="label").x.shape == (20, 2)


def test_nullable_columns_are_numbers(tmp_path):
    table = pd.DataFrame(
        {"a": pd.array([1, 2, 3], "Int64"), "b": [True, False, True], "y": pd.array([0, 1, 1], "Int8")}
    )
    table.to_parquet(tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet", target="y")
    assert data.x.tolist() == [[1, 1], [2, 0], [3, 1]] and data.y.tolist() == [0, 1, 1]


def test_text_names_classes_which_are_numbered_by_the_alphabet(tmp_path):
    kinds = np.array(["setosa", "virginica", "versicolor", "setosa"] * 5)
    pd.DataFrame({"a": X[:, 0], "kind": kinds}).to_csv(tmp_path / "iris.csv", index=False)
    told = "names classes: setosa = 0, versicolor = 1, virginica = 2"
    with pytest.warns(GradlabNote, match=f"column 'kind' {told}"):
        data = load(tmp_path / "iris.csv", target="kind", loss="softmax_cross_entropy")
    assert data.y.tolist() == [0, 2, 1, 0] * 5 and data.classes == 3
    assert data.labels == ("setosa", "versicolor", "virginica")
    with pytest.warns(GradlabNote, match=f"y {told}"):
        assert load((X, kinds)).labels == load((X, list(kinds))).labels == data.labels
    assert load((X, Y)).labels == ()


@pytest.mark.parametrize("first", [0, 1])
def test_a_column_without_a_name_that_counts_the_rows_is_left_out(first, tmp_path):
    table = pd.DataFrame({"a": X[:, 0], "label": Y}, index=np.arange(20) + first)
    table.to_csv(tmp_path / "t.csv")
    with pytest.warns(GradlabNote, match="first column of t.csv has no name and counts the rows"):
        assert load(tmp_path / "t.csv", target="label").x.shape == (20, 1)
    table.to_csv(tmp_path / "t.csv", index_label="id")
    with pytest.warns(GradlabNote, match="column 'id' of t.csv counts the rows"):
        assert load(tmp_path / "t.csv", target="label").x.shape == (20, 2)


def test_names_of_rows_that_the_header_does_not_have_are_told(tmp_path):
    (tmp_path / "t.csv").write_text("a,label\nr1,1.5,0\nr2,2.5,1\n")
    with pytest.warns(GradlabNote, match="a value more than its header"):
        assert load(tmp_path / "t.csv", target="label").x.tolist() == [[1.5], [2.5]]


def test_labels_from_1_are_noted_where_few_can_be_missing():
    with pytest.warns(GradlabNote, match=r"labels are 1 to 4: class 0 has no example, and the network 5 outputs"):
        assert load((X, Y + 1)).classes == 5
    assert load((X[:3], Y[:3] + 1)).classes == 4  # of three examples, any class may be missing


def holding(value):
    x = X.copy()
    x[3, 1] = value
    return x


MANY, YEARS = np.random.default_rng(0).normal(size=(3000, 1)), np.arange(3000) % 32 + 1990
TABLES = {
    "names": "a,who,y\n1,ann,0\n2,bob,1\n3,cid,0\n5,dot,0\n",
    "some": "a,who,y\n1,ann,0\n2,,1\n3,bob,0\n5,ann,1\n",
    "twice": "a,a,y\n1,2,0\n3,4,1\n",
    "bare": "a,y,\n1,0,\n2,1,\n",
    "numbers": "5.1,3.5,0\n4.9,3.0,1\n",
    "semicolons": "a;b;y\n1;2;0\n",
    "tabs": "a\tb\ty\n1\t2\t0\n",
    "comma": 'a,b,y\n"1,5",2,0\n"2,5",3,1\n',
}
BAD = {
    "an unknown set": (lambda d: load("digit"), ["'digit'", "try 'digits'"]),
    "an unknown set that is like none": (lambda d: load("xyz"), ["digits, gaussian, circle", "'xyz'"]),
    "another ending": (lambda d: load("data.mat"), [".npz, .csv, .parquet", "data.mat"]),
    "a missing file": (lambda d: load(d / "no.csv", target="y"), ["no.csv", "not there"]),
    "a folder": (lambda d: load(d / "folder.csv", target="y"), ["folder.csv", "a folder"]),
    "text as npz": (lambda d: load(d / "text.npz"), ["text.npz to be a .npz file"]),
    "one array as npz": (lambda d: load(d / "single.npz"), ["single.npz to be a .npz file"]),
    "pickled objects": (lambda d: load(d / "objects.npz"), ["objects.npz to be a .npz file"]),
    "npz as csv": (lambda d: load(d / "zip.csv", target="y"), ["zip.csv to be a .csv file"]),
    "text as parquet": (lambda d: load(d / "text.parquet", target="y"), ["text.parquet to be a .parquet file"]),
    "an empty csv": (lambda d: load(d / "empty.csv", target="y"), ["rows in empty.csv; received an empty file"]),
    "a csv without rows": (lambda d: load(d / "head.csv", target="y"), ["rows", "0 x 2"]),
    "a csv without features": (lambda d: load(d / "lonely.csv", target="y"), ["features", "2 x 1"]),
    "no target named": (lambda d: load(d / "t.csv"), ["target", "a, b, label", "'label'"]),
    "an unknown column": (lambda d: load(d / "t.csv", target="labels"), ["'labels'", "try 'label'"]),
    "an unknown array": (lambda d: load(d / "t.npz", target="z"), ["x, y, other", "'z'"]),
    "an npz without x": (lambda d: load(d / "three.npz"), ["x and y", "a, b, y"]),
    "a column of text": (lambda d: load(d / "text.csv", target="y"), ["column 'colour'", "'red'"]),
    "a target of other text for each": (lambda d: load(d / "names.csv", target="who"), ["names of classes", "4 diff"]),
    "a target of text that is missing": (lambda d: load(d / "some.csv", target="who"), ["a class", "is example 1"]),
    "a name that stands twice": (lambda d: load(d / "twice.csv", target="y"), ["header of twice.csv", "'a' 2 times"]),
    "a column without a name": (lambda d: load(d / "bare.csv", target="y"), ["a name for each column", "column 3"]),
    "no header": (lambda d: load(d / "numbers.csv", target="0"), ["first line of numbers.csv", "5.1", "a header"]),
    "semicolons": (lambda d: load(d / "semicolons.csv", target="y"), ["separated by commas", "'a;b;y'", "sep=';'"]),
    "tabs": (lambda d: load(d / "tabs.csv", target="y"), ["separated by commas", "sep='\\t'"]),
    "decimal commas": (lambda d: load(d / "comma.csv", target="y"), ["column 'a'", "decimal commas: 1.5"]),
    "a target with decimal commas": (lambda d: load(d / "comma.csv", target="a"), ["column 'a'", "commas: 1.5"]),
    "labels that are codes": (lambda d: load((X, 100 * Y)), ["count classes", "a label of 300, and 4 different"]),
    "years of many examples": (lambda d: load((MANY, YEARS)), ["count classes", "2021", "np.unique"]),
    "an empty cell": (lambda d: load(d / "hole.csv", target="y"), ["finite numbers in x", "example 1"]),
    "a target for a set": (lambda d: load("digits", target="y"), ["target='y' with digits"]),
    "NaN": (lambda d: load((holding(np.nan), Y)), ["finite numbers in x", "1 NaN", "example 3, column 1"]),
    "inf": (lambda d: load((holding(np.inf), Y)), ["finite numbers in x", "example 3"]),
    "NaN in y": (lambda d: load((X, np.where(Y == 2, np.nan, Y))), ["finite numbers in y", "5 NaN", "example 2"]),
    "beyond float32": (lambda d: load((holding(1e39), Y)), ["range of float32", "1e+39", "float64"]),
    "a negative label": (lambda d: load((X, Y - 1)), ["labels from 0", "-1"]),
    "years as labels": (lambda d: load((X, Y + 1990)), ["count classes", "1993", "mse"]),
    "one-hot integers": (lambda d: load((X, np.eye(4, dtype=int)[Y])), ["one integer label", "(20, 4)", "argmax"]),
    "too few targets": (lambda d: load((X, Y[:-1])), ["20 examples", "(19,)"]),
    "x without features": (lambda d: load((X[:, 0], Y)), ["(examples, features)", "(20,)"]),
    "no examples": (lambda d: load((X[:0], Y[:0])), ["(examples, features)", "(0, 3)"]),
    "ragged rows": (lambda d: load(([[1.0], [1.0, 2.0]], [0, 1])), ["x as one array"]),
    "complex numbers": (lambda d: load((X + 1j, Y)), ["numbers in x", "complex128"]),
    "text": (lambda d: load((X, Y.astype(str))), ["numbers in y"]),
    "three arrays": (lambda d: load((X, Y, Y)), ["two arrays", "3"]),
    "an array alone": (lambda d: load(X), ["(x, y)", "ndarray"]),
    "a batch too large": (lambda d: load("digits", batch=2000), ["at most 1797", "2000", "batch=1797"]),
    "a batch of none": (lambda d: load("digits", batch=0), ["batch", "at least 1", "0"]),
    "real targets for classes": (lambda d: load((X, X[:, 0]), loss="softmax_cross_entropy"), ["integer labels", "mse"]),
    "labels held as floats": (lambda d: load((X, Y * 1.0), loss="softmax_cross_entropy"), ["y.astype(int)"]),
    "logistic beyond 0 and 1": (lambda d: load((X, 3 * X[:, 0]), loss="logistic"), ["from 0 to 1", "mse"]),
    "an unknown loss": (lambda d: load("digits", loss="msee"), ["'msee'", "try 'mse'"]),
    "an unknown dtype": (lambda d: load("digits", dtype="int8"), ["float32", "float64", "int8"]),
    "q0 of 0": (lambda d: load("gaussian", q0=0), ["q0", "positive"]),
    "q0 of NaN": (lambda d: load("circle", q0=float("nan")), ["q0", "positive"]),
    "c0 of 1": (lambda d: load("gaussian", c0=1.0), ["c0", "below 1"]),
    "a length for vectors": (lambda d: load("digits", length=8), ["length", "adding, copying, characters", "digits"]),
    "adding in no time": (lambda d: load("adding", length=5), ["length", "at least 6"]),
    "copying in no time": (lambda d: load("copying", length=11), ["length", "at least 12"]),
    "a window beyond the text": (lambda d: load("characters", length=10**7), ["length", "100"]),
    "a negative key": (lambda d: load("gaussian", key=-1), ["key", "at least 0"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_message(case, files):
    files.joinpath("folder.csv").mkdir()
    for name in ("text.npz", "text.parquet"):
        files.joinpath(name).write_text("this is no such file\n")
    files.joinpath("zip.csv").write_bytes(files.joinpath("t.npz").read_bytes())
    files.joinpath("empty.csv").write_text("")
    files.joinpath("head.csv").write_text("a,y\n")
    files.joinpath("lonely.csv").write_text("y\n1\n2\n")
    files.joinpath("text.csv").write_text("a,colour,y\n1,red,0\n2,blue,1\n")
    for name, text in TABLES.items():
        files.joinpath(f"{name}.csv").write_text(text)
    files.joinpath("hole.csv").write_text("a,b,y\n1,2,0\n3,,1\n")
    with files.joinpath("single.npz").open("wb") as file:
        np.save(file, X)
    np.savez(files / "objects.npz", x=np.array([{}, []], dtype=object), y=Y[:2])
    np.savez(files / "three.npz", a=X, b=X, y=Y)
    attempt, told = BAD[case]
    with pytest.raises(GradlabError) as error:
        attempt(files)
    message = str(error.value)
    assert "\n" not in message and message.startswith("expected ") and "received" in message and "try " in message
    for part in told:
        assert part in message


def test_an_unreadable_file_is_told(files, monkeypatch):
    from pathlib import Path

    def refuse(self, *args):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(GradlabError, match="Permission denied"):
            load(files / "t.csv", target="label")


def test_loading_the_digits_imports_neither_jax_nor_scikit_learn_nor_pandas():
    code = "import sys; from gradlab.data import load; load('digits'); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "sklearn", "pandas"} & set(run.stdout.split())
