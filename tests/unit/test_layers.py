"""Rooms of the package: a later one may import an earlier one, never the reverse, and no circle."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import entrench

PACKAGE = Path(entrench.__file__).parent
ROOMS = (
    *("errors", "records", "seeds", "text", "data", "execution", "generation", "training"),
    *("misalignments", "judging", "methods", "study", "analysis", "planning", "figures"),
    "reporting",
)
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported(path: Path) -> Iterator[str]:
    """What a file imports, at its top or within a function; a name given as text too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{name.name}" for name in node.names}
            modules = {name for name in inside if name.removeprefix("entrench.") in FILES}
            yield from modules if modules == inside else {*modules, node.module}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.rstrip(".")  # the beginning of what `import_module` is given


def imports() -> dict[str, set[str]]:
    """Module of the package -> the modules of the package that it imports."""
    return {
        module: {
            name.removeprefix("entrench.")
            for name in imported(path)
            if name.startswith("entrench.") and name.removeprefix("entrench.") in FILES
        }
        for module, path in FILES.items()
        if module != "__init__"
    }


def room(module: str) -> int:
    return ROOMS.index(module.partition(".")[0])


def test_every_module_is_in_a_room_of_the_list():
    assert {module.partition(".")[0] for module in imports()} - set(ROOMS) == set()


def test_no_room_imports_a_later_one():
    upward = [
        f"{module} -> {name}"
        for module, names in imports().items()
        for name in sorted(names)
        if room(name) > room(module)
    ]
    assert upward == [], "\n" + "\n".join(upward)


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None


def test_few_files_lie_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= 5
