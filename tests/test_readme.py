"""What README and docs say is so: files exist, commands parse, code compiles, output is the committed one."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer

import smidgen
from smidgen.cli.app import app
from smidgen.targets import target_names
from smidgen.tasks import task_names

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "src").rglob("codec/README.md"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
GROUP = typer.main.get_command(app)

LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"")
COMMAND = re.compile(r"^(?: {2,}|\$ |.*: )(smidgen [a-z].*)$|`(smidgen [a-z][^`]*)`", re.MULTILINE)
DIFF = re.compile(r"```diff\n.*?```", re.DOTALL)
TREE_PATH = re.compile(r"`((?:docs|src|tests|benchmarks|examples)/[\w./-]+\.\w+)`")


def page(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> list[str]:
    """`smidgen …` in indented lines, after a prompt or a colon, and in inline code."""
    return [line or inline for line, inline in COMMAND.findall(text)]


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def every(kind: str) -> list[tuple[str, str]]:
    """(page, text found there) over all pages, for parametrization."""
    if kind == "link":
        found = [(p, m[0] or m[1]) for p in PAGES for m in LINK.findall(p.read_text(encoding="utf-8"))]
        return [(page(p), link) for p, link in found if not link.startswith("http")]
    if kind == "path":
        without_diffs = {page(p): DIFF.sub("", p.read_text(encoding="utf-8")) for p in PAGES}
        return [(where, path) for where, text in without_diffs.items() for path in TREE_PATH.findall(text)]
    texts = {page(p): p.read_text(encoding="utf-8") for p in (*PAGES, *EXAMPLES)}
    texts |= {f"smidgen {name} --help": c.help or "" for name, c in GROUP.commands.items()}  # type: ignore[attr-defined]
    return [(where, command) for where, text in texts.items() for command in commands(text)]


@pytest.mark.parametrize(("where", "link"), every("link"))
def test_every_link_leads_somewhere(where: str, link: str) -> None:
    assert (ROOT / where).parent.joinpath(link).exists()


@pytest.mark.parametrize(("where", "path"), every("path"))
def test_every_named_file_exists(where: str, path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("where", "command"), every("command"))
def test_every_command_line_parses(where: str, command: str) -> None:
    name, *arguments = shlex.split(command, comments=True)[1:]
    known = GROUP.commands[name]  # type: ignore[attr-defined]
    if arguments:
        given = known.make_context(name, arguments).params
        assert given.get("target", "x86-64") in target_names() or (ROOT / given["target"]).exists()
        source = given.get("source") or given.get("model") or "x.onnx"
        assert source in task_names() or Path(source).suffix in (".onnx", ".pt2", ".smg")


def test_the_search_for_command_lines_finds_them() -> None:
    found = {command.split()[1] for command in commands(README)}
    assert {"compress", "check", "apply", "report", "inspect", "verify", "measure", "export"} <= found
    assert commands("x\n    smidgen compress watch --time 5m\n`smidgen verify` is") == [
        "smidgen compress watch --time 5m",
        "smidgen verify",
    ]


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_python_blocks_compile_and_their_imports_exist(path: Path) -> None:
    for block in python_blocks(path.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                assert all(importlib.import_module(alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [a.name for a in node.names if not hasattr(module, a.name)] == []


HOMES = {
    **dict.fromkeys(("Grid", "Format"), "smidgen.formats"),
    **dict.fromkeys(("Value", "Graph"), "smidgen.graph"),
    **dict.fromkeys(("Step", "Recipe"), "smidgen.methods"),
    "Objective": "smidgen.learn.objectives.objective",
    "Emitter": "smidgen.emit.emitter",
    "Searcher": "smidgen.search.searcher",
}


def test_the_core_types_of_the_design_are_those_of_the_code() -> None:
    (block,) = python_blocks((ROOT / "docs/DESIGN.md").read_text(encoding="utf-8"))
    classes = [node for node in ast.parse(block).body if isinstance(node, ast.ClassDef)]
    assert {c.name for c in classes} == set(HOMES)
    for drawn in classes:
        real = getattr(importlib.import_module(HOMES[drawn.name]), drawn.name)
        for method in drawn.body:
            if isinstance(method, ast.FunctionDef):
                written = [a.arg for a in method.args.args]
                written += [method.args.vararg.arg] if method.args.vararg else []
                assert written == list(inspect.signature(getattr(real, method.name)).parameters), method.name


def test_keywords_of_the_quick_start_are_parameters_of_compress() -> None:
    (block,) = python_blocks(README)
    calls = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    used = {k.arg for c in calls if ast.unparse(c.func) == "smidgen.compress" for k in c.keywords}
    assert used
    assert used <= set(inspect.signature(smidgen.compress).parameters)


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_every_make_goal_exists(path: Path) -> None:
    goals = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    used = re.findall(r"^    make (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(used) <= set(goals)


def test_every_extra_of_the_readme_is_one_of_the_package() -> None:
    package = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \| \w", README, re.MULTILINE)
    assert named
    assert [extra for extra in named if not re.search(rf"^{extra} = \[", package, re.MULTILINE)] == []


def test_the_output_in_the_readme_is_the_committed_one() -> None:
    shown = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == (ROOT / "docs/img/frontier.txt").read_text(encoding="utf-8")
