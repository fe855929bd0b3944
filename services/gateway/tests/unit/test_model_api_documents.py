"""The model API's part of the OpenAPI document: valid, complete, and true to what the surfaces take."""

import orjson
import pytest
from fastapi import FastAPI
from jsonschema_rs import ValidationError, validate

from gateway.entrypoints.documents import describe_model_api
from gateway.errors import ModelApiError
from gateway.surfaces.aliases import alias_surfaces
from gateway.surfaces.anthropic.messages import MessagesSurface
from gateway.surfaces.estimates import Estimator
from gateway.surfaces.openai.chat import ChatSurface
from gateway.surfaces.openai.embeddings import EmbeddingsSurface
from gateway.surfaces.openai.responses import ResponsesSurface

ESTIMATOR = Estimator()
SURFACES = (
    MessagesSurface(ESTIMATOR),
    ChatSurface(ESTIMATOR),
    ResponsesSurface(ESTIMATOR),
    EmbeddingsSurface(ESTIMATOR),
    *alias_surfaces(ESTIMATOR),
)
MESSAGE = {"role": "user", "content": "Hi"}
BODIES = [
    {"model": "m", "messages": [MESSAGE], "max_tokens": 1},
    {"model": "m", "messages": [MESSAGE]},
    {"model": "m", "input": "x"},
    {"messages": [MESSAGE]},
    {"prompt": "x"},
    {"model": "m", "messages": [MESSAGE], "max_tokens": -1},
    {"model": "m", "messages": [MESSAGE], "max_tokens": 1, "stream": "yes"},
    {"model": "m", "input": "x", "max_output_tokens": "1"},
    {"model": "m", "messages": [MESSAGE], "n": 0, "max_tokens": 1},
    {"prompt": "x", "unknown": 1},
]


@pytest.fixture(scope="module")
def paths() -> dict[str, dict[str, object]]:
    app = FastAPI()
    describe_model_api(app)
    assert app.openapi() == app.openapi()
    return app.openapi()["paths"]


class Asked:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def header(self, name: bytes) -> bytes | None:
        return None


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_every_surface_is_described(paths, surface):
    operation = paths[surface.name]["post"]
    assert {"400", "401", "402", "429", "503", "529"} <= operation["responses"].keys()


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize("body", BODIES, ids=",".join)
def test_what_a_surface_takes_is_described(paths, surface, body):
    """What a surface takes, the document allows, but for members that only the provider asks for."""
    schema = paths[surface.name]["post"]["requestBody"]["content"]["application/json"]["schema"]
    try:
        surface.parse(Asked(orjson.dumps(body)))
    except ModelApiError:
        return
    unchecked = set(schema["required"]) - {"model", "max_tokens", "prompt"}
    if unchecked <= body.keys():
        validate(schema, body)


def test_no_two_operations_share_a_name(paths):
    names = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_errors_are_described_in_the_envelope_that_is_sent(paths, path: str):
    surface = next(surface for surface in SURFACES if surface.name == path)
    schema = paths[path]["post"]["responses"]["429"]["content"]["application/json"]["schema"]
    error = ModelApiError(429, "slow", extra={"upgrade_url": "https://x", "details": {"error_code": "a", "limit": "b"}})
    validate(schema, orjson.loads(surface.error_body(error, "req_1")))
    with pytest.raises(ValidationError):
        validate(schema, {"error": "slow"})
