"""Reads the catalogue file and names what is wrong with it."""

import tomllib
from pathlib import Path

from pydantic import ValidationError

from billing.domain.catalogue import Catalogue
from billing.errors import CatalogueError


def load_catalogue(path: Path) -> Catalogue:
    """The catalogue in a file; raises `CatalogueError` naming each wrong field and the reason."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: is not TOML: {error}") from error
    try:
        return Catalogue.model_validate(content)
    except ValidationError as error:
        raise CatalogueError("\n".join(f"{path}: {problem}" for problem in _problems(error))) from error


def _problems(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [f"{'.'.join(map(str, one['loc'])) or 'catalogue'}: {one['msg']}" for one in found]
