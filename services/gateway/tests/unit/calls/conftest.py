from collections.abc import Callable
from uuid import uuid4

import pytest

from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator
from rating import PriceBook

from .world import World


@pytest.fixture
def world_of(book: PriceBook, snapshot_of) -> Callable[..., World]:
    """Called with the account's terms and the world's own settings: a call path in memory."""

    def make(*, surface=None, credit: float = 100, account=None, **settings) -> World:
        snapshot = snapshot_of(uuid4(), credit=credit, **(account or {}))
        return World(surface or MessagesSurface(Estimator()), book, snapshot=snapshot, **settings)

    return make
