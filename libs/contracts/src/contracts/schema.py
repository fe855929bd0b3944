"""JSON Schema of each event, the AsyncAPI document, and what may change between releases."""

from typing import Any

from contracts.event import Event
from contracts.topics import EVENT_TOPICS, Topic

Json = dict[str, Any]


def event_schema(event: type[Event]) -> Json:
    """JSON Schema of the CloudEvents `data` of one event."""
    schema = event.model_json_schema(mode="serialization")
    properties = {name: value for name, value in schema["properties"].items() if name not in ("id", "time")}
    required = [name for name in schema.get("required", []) if name in properties]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event.type,
        "description": schema.get("description", ""),
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "$defs": schema.get("$defs", {}),
    }


def asyncapi(version: str) -> Json:
    """The AsyncAPI 3.0 document of all topics."""
    channels = {topic.name: _channel(topic) for topic in EVENT_TOPICS}
    operations = {
        f"{service}.{action}.{topic.name}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{_pointer(topic.name)}"},
        }
        for topic in EVENT_TOPICS
        for action, services in (("send", topic.producers), ("receive", topic.consumers))
        for service in services
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Faregate events", "version": version},
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
    }


def _channel(topic: Topic) -> Json:
    assert topic.event is not None
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {topic.name: {"name": topic.name, "payload": event_schema(topic.event)}},
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": topic.config()}},
        "x-key": topic.key,
        "x-data-class": topic.data_class,
        "x-personal": topic.personal,
    }


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def breaking_changes(old: Json, new: Json, at: str = "data") -> list[str]:
    """What a consumer of the old schema could not bear in the new one: removed, retyped or newly optional fields."""
    return _compare(_resolved(old, old), _resolved(new, new), at)


def _resolved(node: Any, root: Json) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return _resolved(root["$defs"][node["$ref"].rsplit("/", 1)[1]], root)
        return {key: _resolved(value, root) for key, value in node.items() if key != "$defs"}
    if isinstance(node, list):
        return [_resolved(item, root) for item in node]
    return node


def _compare(old: Json, new: Json, at: str) -> list[str]:
    old, new = _with_enum(old), _with_enum(new)
    found = []
    for kind in ("type", "format", "pattern", "anyOf", "enum"):
        if kind in ("enum", "anyOf"):
            gone = [item for item in old.get(kind, []) if item not in new.get(kind, [])]
            if gone and kind in old:
                found.append(f"{at}: {kind} lost {gone}")
        elif old.get(kind) != new.get(kind):
            found.append(f"{at}: {kind} changed from {old.get(kind)} to {new.get(kind)}")
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        found += _compare(old["items"], new["items"], f"{at}[]")
    return found + _compare_fields(old, new, at)


def _with_enum(node: Json) -> Json:
    """A constant is an enumeration of one, so that a second value may join it."""
    return {**node, "enum": [node["const"]]} if "const" in node else node


def _compare_fields(old: Json, new: Json, at: str) -> list[str]:
    found = []
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, shape in before.items():
        if name not in after:
            found.append(f"{at}.{name}: removed")
        else:
            found += _compare(shape, after[name], f"{at}.{name}")
    for name in after:
        if name not in before and name in new.get("required", []):
            found.append(f"{at}.{name}: a new field must be optional")
        if name in before and name in old.get("required", []) and name not in new.get("required", []):
            found.append(f"{at}.{name}: is no longer always there")
        if name in before and name not in old.get("required", []) and name in new.get("required", []):
            found.append(f"{at}.{name}: became required, records without it are in the topics")
    return found
