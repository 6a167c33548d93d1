"""JSON schema of a configuration, for editors."""

from __future__ import annotations

from typing import Any


def schema() -> dict[str, Any]:
    """Of `spikeport.toml`, and of the table `tool.spikeport` of a `pyproject.toml`."""
    from spikeport.config.checked import json_schema  # pydantic loads only when it is used

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "spikeport", **json_schema()}
