"""Compiled programs on the disk: where they lie, what is read back, and what goes wrong."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import gradlab
from gradlab.config import Sweep
from gradlab.core import cache, execute
from gradlab.core.cache import Programs, cache_folder, kept_programs
from gradlab.sweep.run import run

NAMES = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_enable_xla_caches",
)


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user's folder for caches, and JAX as it is for those who set nothing."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    yield tmp_path / "gradlab" / "programs"
    jax.config.update("jax_compilation_cache_dir", before)


@contextlib.contextmanager
def counted():
    """How often a program is found on the disk ("hits"), and how often one is put there ("misses")."""
    found = {"hits": 0, "misses": 0}

    def listen(event, **_):
        for name in found:
            found[name] += event == f"/jax/compilation_cache/cache_{name}"

    jax.monitoring.register_event_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_listener(listen)


def compute():
    """A small program that nobody compiled before in this process."""
    execute._compiled.cache_clear()
    jax.clear_caches()
    return execute.once(jax.jit(lambda x: jnp.sin(x) + 0.123), jnp.float32(2.0))


def test_a_program_is_compiled_once_and_settings_are_what_they_were(user):
    before = [getattr(jax.config, name) for name in NAMES]
    results = []
    for expected in ({"hits": False, "misses": True}, {"hits": True, "misses": False}):
        with counted() as found, kept_programs():
            results.append(compute())
        assert {name: n > 0 for name, n in found.items()} == expected
    assert results[0] == results[1]
    assert [getattr(jax.config, name) for name in NAMES] == before
    with counted() as found:
        compute()
    assert found == {"hits": 0, "misses": 0}
    assert all(path.suffix == cache.ENDING for path in user.iterdir())


def test_the_folder_that_jax_is_set_to_is_taken(user, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    with kept_programs():
        compute()
    assert list((tmp_path / "theirs").glob(f"*{cache.ENDING}")) and not user.exists()
    with counted() as found, kept_programs(False):
        compute()
    assert found == {"hits": 0, "misses": 0}  # what is switched off is off, whoever switched it on


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "HOME/.cache/gradlab/programs"),
        ("darwin", {}, "HOME/Library/Caches/gradlab/programs"),
        ("win32", {}, "HOME/AppData/Local/gradlab/programs"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/gradlab/programs"),
        ("linux", {"XDG_CACHE_HOME": "there"}, "there/gradlab/programs"),
    ],
)
def test_the_usual_folder_of_each_system(platform, variables, expected, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(expected.replace("HOME", str(Path.home())))


def test_what_is_not_whole_is_not_read_and_is_written_anew(tmp_path):
    programs = Programs(tmp_path, pytest.fail)
    assert programs.get("a") is None
    programs.put("a", b"program")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:10], whole[:-1], whole[:-1] + b"n", b"n" + whole[1:]):
        path.write_bytes(damaged)
        assert programs.get("a") is None
    programs.put("a", b"program")
    assert programs.get("a") == b"program"


def test_a_folder_that_takes_nothing_costs_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    lines = []
    programs = Programs(tmp_path / "file", lines.append)
    for key in "ab":
        programs.put(key, b"program")
        assert programs.get(key) is None
    programs.shrink()
    (line,) = lines
    assert str(tmp_path / "file") in line and "compiled again" in line


def test_what_was_not_used_for_the_longest_time_goes_first(tmp_path, monkeypatch):
    programs = Programs(tmp_path, pytest.fail)
    for age, key in enumerate("abcd"):
        programs.put(key, bytes(100))
        os.utime(tmp_path / f"{key}{cache.ENDING}", (1e9 - age, 1e9 - age))
    (tmp_path / "theirs").write_bytes(bytes(1000))
    programs.get("d")  # the oldest, used now
    monkeypatch.setattr(cache, "LARGEST", 300)
    programs.shrink()
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "d", "theirs"}


SMALL = Sweep(
    depth=2, width=4, activation="relu", init="he_normal", seeds=1, data="gaussian", batch=8, columns="weight_norm"
)


@pytest.mark.slow
def test_a_sweep_from_the_disk_has_the_same_bytes(user, tmp_path):
    for name in ("first", "second"):
        execute._compiled.cache_clear()
        jax.clear_caches()
        with counted() as found:
            run(SMALL, out=tmp_path / name, progress=False)
    assert found["misses"] == 0 < found["hits"]
    first, second = (tmp_path / name / "frame.parquet" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_processes_that_fill_the_same_folder_at_once(tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMPILATION", "JAX_PERSISTENT"))}
    env |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(gradlab.__file__).parents[1])}
    words = ["sweep", "--depth", "2", "--width", "4", "--activation", "relu", "--init", "he_normal", "--seeds", "1"]
    words += ["--batch", "8", "--quiet", "--out"]
    started = [
        subprocess.Popen([sys.executable, "-m", "gradlab", *words, name], cwd=tmp_path, env=env, stderr=subprocess.PIPE)
        for name in "ab"
    ]
    told = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0] and told == [b"", b""]
    files = list((tmp_path / "gradlab" / "programs").iterdir())
    assert files and all(path.suffix == cache.ENDING for path in files)
    frames = [(tmp_path / name / "frame.parquet").read_bytes() for name in "ab"]
    assert frames[0] == frames[1]
