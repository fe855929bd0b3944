"""Pages out of templates: everything that is put in is escaped, and what is missing is an error."""

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

_ENVIRONMENT_OPTIONS: Final[dict[str, Any]] = {
    "autoescape": True,
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}


class Templates:
    """The pages' templates."""

    def __init__(self) -> None:
        self._environment = Environment(loader=PackageLoader("auth", "templates"), **_ENVIRONMENT_OPTIONS)  # noqa: S701  # autoescape is on

    def page(self, name: str, /, **words: Any) -> str:
        return self._environment.get_template(f"{name}.html").render(words)

    def source(self, name: str) -> str:
        """A file as it is, such as the style sheet."""
        assert self._environment.loader is not None
        return self._environment.loader.get_source(self._environment, name)[0]
