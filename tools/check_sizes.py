"""Fail when a Python file or function outgrows its room (CONTRIBUTING.md says why)."""

import ast
import subprocess
import sys
from pathlib import Path

MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 70


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if Path(line).exists()]


def too_large(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    found = [f"{path}: {lines} lines, {MOST_FILE_LINES} at most"] if lines > MOST_FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            if length > MOST_FUNCTION_LINES:
                found.append(f"{path}:{node.lineno} {node.name}: {length} lines, {MOST_FUNCTION_LINES} at most")
    return found


def main() -> int:
    paths = tracked()
    found = [line for path in paths for line in too_large(path)]
    sys.stderr.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"sizes: {len(paths)} files looked at, {len(found)} too large\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
