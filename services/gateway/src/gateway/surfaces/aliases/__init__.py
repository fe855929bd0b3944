"""The paths that clients used before: a body of their own making becomes Anthropic's, and its answer theirs again."""

from gateway.surfaces.aliases.claude_stream import ClaudeStreamSurface
from gateway.surfaces.aliases.generate import GenerateSurface
from gateway.surfaces.aliases.invoke import InvokeSurface, TryOutSurface
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator

__all__ = ["ClaudeStreamSurface", "GenerateSurface", "InvokeSurface", "TryOutSurface", "alias_surfaces"]


def alias_surfaces(estimator: Estimator) -> tuple[MessagesSurface, ...]:
    """One of each, for the table of paid routes: `POST surface.name`."""
    return (
        ClaudeStreamSurface(estimator),
        InvokeSurface(estimator),
        TryOutSurface(estimator),
        GenerateSurface(estimator),
    )
