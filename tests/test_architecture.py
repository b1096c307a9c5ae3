"""The tree shows the architecture: who may import whom."""

import ast
from pathlib import Path

import afterword

PACKAGE = Path(afterword.__file__).parent
#: What each part may import, beside itself. Imports for types only do not count.
ALLOWED = {
    "words": set(),
    "contract": set(),
    "spans": {"words"},
    "settings": {"contract"},
    "ledger": {"words", "contract", "settings"},
    "declarations": {"words", "ledger"},
    "expectations": {"ledger"},
    "hooks": {"words", "spans", "ledger", "declarations", "expectations"},
    "books": {"words", "contract", "spans", "ledger"},
    "metrics": {"words", "contract", "ledger", "books", "__init__"},
    "instrument": {"settings", "ledger", "hooks", "metrics", "__init__"},
    "view": {"words", "contract", "spans", "ledger", "books", "metrics", "alerts", "__init__"},
    "sidecar": {"words", "spans", "settings", "ledger", "books", "metrics", "view", "__init__"},
    "terminal": {"words", "settings", "view"},
    "alerts": {"words", "contract"},
    "dashboards": {"words", "contract", "alerts"},
    "doctor": {"contract", "settings", "ledger", "books", "metrics", "alerts", "__init__"},
    "auto": {"hooks", "instrument"},
    "cli": {"words", "settings", "auto", "sidecar", "books", "alerts", "dashboards", "view", "terminal", "doctor"}
    | {"__init__"},
    "testing": {"words", "settings", "ledger", "hooks", "books", "instrument"},
    "logs": {"hooks"},
    "__init__": {"declarations", "expectations", "instrument"},
    "__main__": {"cli"},
}


def part(module: str) -> str:
    """The part of the package a dotted module name belongs to."""
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "__init__"


def imports(path: Path) -> set[str]:
    """The parts a file imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "afterword":
            names = [alias.name for alias in node.names]
            if node.module == "afterword":
                found |= {name if (PACKAGE / name).exists() or (PACKAGE / f"{name}.py").exists() else "__init__"
                          for name in names}  # fmt: skip
            else:
                found.add(part(node.module or ""))
        elif isinstance(node, ast.Import):
            found |= {part(alias.name) for alias in node.names if alias.name.partition(".")[0] == "afterword"}
    return found


def test_data_flows_one_way():
    """Nothing on the left imports anything on the right."""
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE)
        own = relative.parts[0].removesuffix(".py")
        assert imports(path) <= ALLOWED[own] | {own}, str(relative)


def test_every_module_says_what_it_is_and_is_short():
    """One sentence at the top, and at most 300 lines."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), path.name
        assert len(text.splitlines()) <= 300, path.name
