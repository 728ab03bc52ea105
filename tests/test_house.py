"""The house: floors, lazy rooms, one backward pass, and files that know nothing of the machine they were made on."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import gradlab

ROOT = Path(gradlab.__file__).resolve().parents[1]
PACKAGE = ROOT / "gradlab"
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"jax", "jaxlib", "pandas", "matplotlib", "seaborn", "pyarrow", "dask", "distributed", "scipy", "sklearn"}


def tracked():
    """Files under version control; those of the checkout where there is no git."""
    git = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        return [ROOT / name for name in git.stdout.split("\0") if name and (ROOT / name).is_file()]
    hidden = re.compile(r"/(\.[^/]*|__pycache__|runs|dist|build)/")
    return [p for p in ROOT.rglob("*") if p.is_file() and not hidden.search(f"/{p.relative_to(ROOT).as_posix()}/")]


def imported_by(code, *argv):
    """Names of the packages that are imported when `code` has run in a fresh interpreter."""
    code = f"import sys; sys.argv[1:] = {list(argv)!r}\n{code}\nprint('\\n', *sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stderr.split()}


def test_importing_gradlab_imports_nothing_heavy():
    assert not (HEAVY | {"numpy"}) & imported_by("import gradlab, gradlab.config")


@pytest.mark.parametrize(
    "argv", [["--help"], *([c, "--help"] for c in ("sweep", "report", "check", "theory", "diagnose", "inspect"))]
)
def test_help_imports_nothing_heavy(argv):
    code = "from gradlab.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert not (HEAVY | {"numpy"}) & imported_by(code, *argv)


def test_a_computation_needs_no_tables_and_no_figures():
    code = "import gradlab as gl; gl.MLP, gl.backprop, gl.measure, gl.check"
    loaded = imported_by(code)
    assert "jax" in loaded
    assert not {"pandas", "matplotlib", "seaborn", "pyarrow", "dask", "distributed"} & loaded


def test_the_floors_hold():
    lint = pytest.importorskip("importlinter.cli")
    assert lint.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


ROOMS = [p for p in SOURCES if p.name == "__init__.py"]


@pytest.mark.parametrize("room", ROOMS, ids=lambda p: p.parent.name)
def test_every_room_is_lazy(room):
    for statement in ast.parse(room.read_text()).body:
        modules = []
        if isinstance(statement, ast.Import):
            modules = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            modules = [statement.module]
        # the room of configurations is light as a whole, which a test above holds it to
        modules = [m for m in modules if not m.startswith("gradlab.config.")]
        light = {"lazy_loader", "importlib", "typing", "__future__", "collections.abc"}
        assert set(modules) <= light, ast.unparse(statement)


@pytest.mark.parametrize("room", [p for p in ROOMS if p.with_suffix(".pyi").exists()], ids=lambda p: p.parent.name)
def test_a_room_gives_the_names_of_its_stub(room):
    name = ".".join(room.parent.relative_to(ROOT).parts)
    module = import_module(name)
    said = {}
    for statement in ast.parse(room.with_suffix(".pyi").read_text()).body:
        if isinstance(statement, ast.ImportFrom):
            said |= {alias.asname: f"{name}.{statement.module or alias.name}" for alias in statement.names}
    assert sorted(module.__all__) == dir(module) == sorted(said)
    for public, home in said.items():
        held = import_module(home)
        assert getattr(module, public) is getattr(held, public, held)
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018


def test_public_names_are_spelled_in_one_way():
    names = [*gradlab.__all__, *gradlab.plots.__all__, *gradlab.theory.__all__]
    american = re.compile(r"color|center|(?<!initial)(?<!optim)(?<!s)iz", re.IGNORECASE)
    assert len(names) > 100 and not [name for name in names if american.search(name)]


PRODUCTS = {"matmul", "dot", "tensordot", "dot_general", "vdot"}


def transposed(node):
    """What is transposed in ``w.T``, ``swapaxes(w, ...)``, ``w.transpose()``; None elsewhere."""
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        return node.value
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in ("swapaxes", "transpose", "matrix_transpose"):
            library = isinstance(called.value, ast.Name) and called.value.id in ("jnp", "np", "jax", "lax")
            return node.args[0] if library else called.value
    return None


def contracts_with_a_transpose(einsum):
    """Whether it is ``einsum("bm,nm->bn", d, w)``, of two different things."""
    inputs, _, output = str(getattr(einsum.args[0], "value", "")).replace(" ", "").partition("->")
    left, _, right = inputs.partition(",")
    same = len(einsum.args) == 3 and ast.unparse(einsum.args[1]) == ast.unparse(einsum.args[2])
    return bool(left and right) and left[-1] == right[-1] and left[-1] not in output and "," not in right and not same


def backward_products(code):
    """Lines with a product ``a @ b.T`` of two different things; ``a @ a.T`` is a Gram matrix."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            left, right = node.left, node.right
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "einsum" and contracts_with_a_transpose(node):
                lines.append(node.lineno)
            if name not in PRODUCTS:
                continue
            left, right = node.args[:2]
        else:
            continue
        inner = transposed(right)
        if inner is not None and ast.unparse(inner) != ast.unparse(left):
            lines.append(node.lineno)
    return lines


def uses_jax(code):
    imports = [n for n in ast.walk(ast.parse(code)) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return any("jax" in ast.unparse(n) or "gradlab.core" in ast.unparse(n) for n in imports)


def test_there_is_no_second_backward_pass():
    """DECISIONS 7: outside `core` nothing multiplies a delta by a transposed weight."""
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES
        if path.parent.name != "core" and uses_jax(path.read_text())
        for line in backward_products(path.read_text())
    }
    assert not found


def test_a_second_backward_pass_would_be_found():
    assert backward_products((PACKAGE / "core" / "dense.py").read_text())
    for code in (
        "d @ w.T",
        "dy @ params['weight'].mT",
        "matmul(d, jnp.swapaxes(w, -1, -2))",
        "jnp.dot(d, w.transpose())",
    ):
        assert backward_products(code) == [1]
    assert backward_products("jnp.einsum('bm,nm->bn', d, w)") == [1]
    gram = "jnp.einsum('bm,cm->bc', a, a)"
    for code in ("a @ a.T", "x @ w", "matmul(u, jnp.swapaxes(u, -1, -2))", gram, "jnp.einsum('i,ij,j', v, g, v)"):
        assert backward_products(code) == []


def test_files_are_split_before_400_lines_and_experiments_stay_under_150():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) >= 400}
    scripts = (ROOT / "experiments").glob("*.py")
    # sentences of the page are no code
    prose = re.compile(
        r'^(?:CLAIM|TEXT|CAPTION) = f?""".*?"""$|^(?:CAPTIONS|FIXED|SAID) = (?:Words)?[({]\n.*?^[)}]$',
        re.MULTILINE | re.DOTALL,
    )
    code = lambda path: len(prose.sub("", path.read_text()).splitlines())
    long |= {str(p.relative_to(ROOT)): n for p in scripts if (n := code(p)) >= 150}
    assert not long
    assert not list(PACKAGE.rglob("utils.py"))


#: Places of one machine, and hosts and options of package indexes; in pieces, because this file is looked at too.
MACHINE = re.compile("|".join(rf"(?<![\w.])/{top}/" for top in ("work", "root", "home", "Users", "opt")))
HOSTS = re.compile("|".join(("pypi" + r"\.org", "python" + "hosted", "ana" + r"conda\.(org|com)", "index" + "-url")))


def test_files_name_no_place_of_a_machine_and_no_host_of_an_index():
    found = []
    for path in tracked():
        if path.name == "CONTRACT.md":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for pattern in (MACHINE, HOSTS):
            found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in pattern.finditer(text)]
    assert not found
    assert MACHINE.search("see /" + "root/x") and HOSTS.search("https://pypi" + ".org/simple")


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_dependency_is_pinned():
    pins = (ROOT / "constraints.txt").read_text()
    pinned = {line.partition("==")[0] for line in pins.splitlines()}
    asked = [*project()["dependencies"], *(x for extra in project()["optional-dependencies"].values() for x in extra)]
    names = {re.match(r"[\w.-]+", entry).group().lower() for entry in asked}
    assert names - {"gradlab-jax"} <= pinned
    assert "//" not in pins and not re.search(r"^-", pins, re.MULTILINE)


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {gradlab.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {gradlab.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert project()["name"] == "gradlab-jax" and project()["requires-python"] == ">=3.11"


def commands():
    """The command lines of the README's first section."""
    first = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.MULTILINE)[0]
    fenced = re.findall(r"^```\w*\n(.*?)^```", first, flags=re.MULTILINE | re.DOTALL)
    return [line for block in fenced for line in block.splitlines() if line]


def test_the_readme_begins_with_two_commands_that_do_their_own_set_up():
    sweep, suite = commands()
    for command in (sweep, suite):
        assert command.startswith("python3 -m venv .venv && .venv/bin/python -m pip install ")
        assert "-c constraints.txt" in command
        subprocess.run(["sh", "-n", "-c", command], check=True)
    assert (
        " gradlab" not in sweep.replace("/gradlab", "") and ".venv/bin/gradlab sweep " in sweep and "--report" in sweep
    )
    assert ".venv/bin/python -m pytest" in suite and "[test]" in suite


def test_ci_runs_the_second_command_as_it_stands_in_the_readme():
    told = subprocess.run([ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, check=True)
    assert told.stdout == commands()[1] + "\n"


def links(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link and not link.startswith("data:")]


PAGES = sorted(p for p in tracked() if p.suffix == ".md" and p.name != "CONTRACT.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_of_pages_and_reports_lead_somewhere(page):
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def test_every_report_has_its_figure_its_table_and_where_it_comes_from():
    listed = [
        link for link in links(ROOT / "reports" / "README.md") if link.endswith("/README.md") and "../" not in link
    ]
    assert listed
    for link in listed:
        folder = (ROOT / "reports" / link).parent
        for kind in ("README.md", "*.png", "*.csv", "provenance.json"):
            assert list(folder.glob(kind)), f"{folder.name} has no {kind}"
        # what stands in the page is what the folder holds
        text = (folder / "README.md").read_text()
        assert all(image.name in text for image in folder.glob("*.png"))
