"""FastAPI runs a route or a dependency that is a plain function in a thread: a hop there and back for each request."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICES = sorted((Path(__file__).parents[4] / "services").iterdir())
VERBS = {"get", "put", "post", "patch", "delete", "head", "options", "api_route"}


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_routes_and_what_they_depend_on_run_on_the_loop(service: Path) -> None:
    trees = [ast.parse(path.read_text()) for path in service.glob("src/*/entrypoints/**/*.py")]
    wanted = {name for tree in trees for name in depended_on(tree)}
    in_threads = [
        function.name
        for tree in trees
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and (function.name in wanted or is_route(function))
    ]

    assert trees
    assert in_threads == []


def depended_on(tree: ast.Module) -> Iterator[str]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Depends":
            yield from (one.id for one in call.args if isinstance(one, ast.Name))


def is_route(function: ast.FunctionDef) -> bool:
    calls = [one.func for one in function.decorator_list if isinstance(one, ast.Call)]
    return any(isinstance(one, ast.Attribute) and one.attr in VERBS for one in calls)
