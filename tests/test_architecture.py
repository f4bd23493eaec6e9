"""The house: data flows one way, nothing private crosses modules, the core stays small."""

import ast
from pathlib import Path

import pytest

from hybrid_batch import paths, storage

MODULES = sorted(paths.PACKAGE.rglob("*.py"))
CORE = "sampler losses trainer retrieval debias metrics statistics experiment".split()


def test_imports_keep_to_the_contracts():
    """In pyproject.toml: layers against which nothing is imported, so no circle either."""
    from importlinter.cli import lint_imports
    assert lint_imports(config_filename=str(paths.ROOT / "pyproject.toml"), no_cache=True) == 0


def names_of(path):
    return ".".join(path.relative_to(paths.PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=names_of)
def test_no_private_name_of_another_module_is_used(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {alias.asname or alias.name for node in ast.walk(tree)
               if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hybrid_batch") for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hybrid_batch"):
            assert not [alias.name for alias in node.names if alias.name.startswith("_")], ast.unparse(node)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert not node.attr.startswith("_") or node.attr.startswith("__"), ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=names_of)
def test_no_module_is_over_350_lines_and_every_one_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350 and ast.get_docstring(ast.parse(text))


def test_the_core_can_be_read_in_an_hour():
    assert sum(len((paths.PACKAGE / f"{name}.py").read_text().splitlines()) for name in CORE) <= 1700


@pytest.mark.parametrize("path", MODULES, ids=names_of)
def test_public_functions_and_classes_say_what_they_do(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and path.name != "cli.py":
            short = isinstance(node, ast.FunctionDef) and len(node.body) <= 2
            assert ast.get_docstring(node) or short, f"{path.name}: {node.name}"


def test_the_reports_know_no_training():
    for path in (paths.PACKAGE / "report").glob("*.py"):
        assert not {"trainer", "experiment", "retrieval", "encoders"} & set(
            name.split(".")[0] for name in storage.imports(ast.parse(path.read_text())))


def test_only_storage_renames_files_into_place():
    for path in MODULES:
        if path.name != "storage.py":
            assert "os.replace(" not in path.read_text(encoding="utf-8"), path


def test_no_stray_file_is_committed():
    assert not [path for path in Path(paths.ROOT).glob(".*.partial")]
