"""The rules of the house: one command checks the code, its imports, its lock and its front page."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("supernode", "simulator", "topologies", "workloads")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("run", "test", "lowest")

# Where each library of state or drawing is at home; `.` closes a name, so that a module covers what lies below it.
HOMES = {
    "networkx": ("topologies.", "simulator.fabric."),
    "simpy": ("simulator.cluster.", "simulator.serving."),
    "matplotlib": ("supernode.plots.",),
}
HEAVY = ("numba", "pandas", "pyarrow", "scipy", "matplotlib", "networkx", "simpy", "jinja2")
KERNELS_IMPORT = ("__future__", "math", "numba", "numpy")


def _modules() -> dict[str, Path]:
    """Every module of our packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(path: Path, *, for_types: bool) -> list[tuple[int, str]]:
    """Line and dotted name of everything a module imports, at any depth; what only a type checker sees if asked."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    skipped: set[ast.AST] = set()
    if not for_types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped.update(inner for statement in node.body for inner in ast.walk(statement))
    found = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def _pins(lock: str) -> dict[str, list[tuple[Version, Marker | None]]]:
    """Versions that a lock holds by canonical name, each with the condition under which it applies."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    pins: dict[str, list[tuple[Version, Marker | None]]] = {}
    for line in text.splitlines():
        if line and line[0] not in " #":
            pin = Requirement(line.rstrip(" \\"))
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            pins.setdefault(canonicalize_name(pin.name), []).append((Version(specifier.version), pin.marker))
    return pins


def _wanted(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for: to build, to run, and for the extras, with their references followed."""
    project = PROJECT["project"]
    wanted = [*PROJECT["build-system"]["requires"], *project["dependencies"]]
    waiting = list(extras)
    while waiting:
        for text in project["optional-dependencies"][waiting.pop()]:
            requirement = Requirement(text)
            if requirement.name == project["name"]:
                waiting += requirement.extras
            else:
                wanted.append(text)
    return [Requirement(text) for text in wanted]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(["ruff", "check", "."], id="ruff_finds_nothing"),
        pytest.param(["ruff", "format", "--check", "."], id="every_file_is_formatted"),
        pytest.param(["mypy"], id="mypy_strict_finds_nothing"),
    ],
)
def test_house_is_clean(check):
    done = _run(sys.executable, "-m", *check)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packages_point_one_way():
    done = _run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_kernels_import_only_numpy_numba_math_and_kernels():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for module, path in _modules().items()
        if module.endswith(".kernels")
        for line, name in _imports(path, for_types=True)
        if name.split(".")[0] not in KERNELS_IMPORT and ".kernels" not in name
    ]
    assert not wrong


def test_kernels_are_compiled_without_fastmath_and_without_parallel_sums():
    wrong = [
        f"{path.relative_to(ROOT)}: {option}"
        for module, path in _modules().items()
        if module.endswith(".kernels")
        for option in ("fastmath=", "parallel=", "prange")
        if option in path.read_text(encoding="utf-8")
    ]
    assert not wrong


def _handed_back(function: ast.FunctionDef) -> list[str]:
    """Arrays among the arguments of a function that it returns as they came, as far as it looks into them."""
    inner = [node for node in ast.walk(function) if node is not function]
    looked_into = {
        node.value.id
        for node in inner
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.value, ast.Name)
    }
    arrays = looked_into & {argument.arg for argument in function.args.args}
    found = []
    for node in inner:
        if isinstance(node, ast.Return) and node.value is not None:
            parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            found += [part.id for part in parts if isinstance(part, ast.Name) and part.id in arrays]
    return found


def test_functions_that_borrow_arrays_hand_none_of_them_back():
    """numba compiles a function that hands an argument back uncounted, and the array is given up once too often."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} returns {name}"
        for path in _modules().values()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(each) == "borrowing" for each in node.decorator_list)
        for name in _handed_back(node)
    ]
    assert not wrong
    bad = ast.parse("def f(row, n):\n    row[0] = n\n    return n, row").body[0]
    assert isinstance(bad, ast.FunctionDef)
    assert _handed_back(bad) == ["row"]


@pytest.mark.parametrize("library", HOMES)
def test_library_is_imported_only_where_it_is_at_home(library):
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for module, path in _modules().items()
        if not f"{module}.".startswith(HOMES[library])
        for line, name in _imports(path, for_types=False)
        if name.split(".")[0] == library
    ]
    assert not wrong


def test_front_door_opens_without_heavy_imports():
    done = _run(sys.executable, "-c", "import sys, supernode.cli; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not set(HEAVY) & set(done.stdout.split())


def _commands(text: str) -> list[str]:
    """Lines that set up an environment of their own."""
    return re.findall(r"^python3 -m venv .*$", text, flags=re.MULTILINE)


def test_ci_runs_the_test_command_of_the_readme():
    comparison, tests = _commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert comparison.endswith(" && .venv/bin/supernode compare ironwood-9216 scalex640 --out comparison")
    assert _commands((ROOT / ".ci" / "run").read_text(encoding="utf-8")) == [tests]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_requirement_with_hashes_and_names_no_host(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|(?m:^\s*-)(?!-hash)|index|find-links", text.replace("--hash", ""))
    pins = re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]
    assert pins
    assert not [pin.split()[0] for pin in pins if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", pin)]


@pytest.mark.parametrize(("lock", "extras"), [("run", ()), ("test", ("test",)), ("lowest", ("test",))])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_holds_what_the_project_asks_for(lock, extras, python):
    here = {"python_version": python, "python_full_version": f"{python}.2", "sys_platform": "linux"}
    pins = _pins(lock)
    for requirement in _wanted(*extras):
        versions = [
            version
            for version, marker in pins.get(canonicalize_name(requirement.name), [])
            if marker is None or marker.evaluate(here)
        ]
        assert len(versions) == 1, f"{lock}.txt has {len(versions)} versions of {requirement.name} for Python {python}"
        assert requirement.specifier.contains(versions[0]), f"{lock}.txt has {requirement.name} {versions[0]}"


def test_lowest_lock_holds_the_lower_bounds():
    pins = _pins("lowest")
    bounds = {canonicalize_name(asked.name): Version(next(iter(asked.specifier)).version) for asked in _wanted("test")}
    assert {name: pins[name][0][0] for name in bounds} == bounds


def test_build_backend_is_the_same_in_the_lock_and_in_the_project():
    lines = (ROOT / "requirements" / "build.in").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == PROJECT["build-system"]["requires"]


def test_ignored_lint_rules_have_their_reason_beside_them():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rules = re.findall(r'(?m)^    "[A-Z]+[0-9]*",(.*)$', text)
    assert rules
    assert all(re.match(r"  # \S.{8,}", reason) for reason in rules)
