"""`/docs`: the routes as one page that needs no script and no network, made from the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2.5rem 0 .25rem; font-size: 1.05rem }
code, pre { font: .9em ui-monospace, monospace }
pre { padding: .75rem 1rem; overflow-x: auto; border: 1px solid #8886 }
td, th { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top }
.method { display: inline-block; min-width: 4rem; font-weight: 700 }
"""


def page(openapi: Mapping[str, Any]) -> str:
    """The page for an OpenAPI document."""
    info = openapi["info"]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info['description'])} For programs: <a href='/openapi.json'>openapi.json</a>.</p>",
    ]
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            parts += _route(openapi, path, method, route)
    parts.append("</body></html>")
    return "\n".join(parts)


def _route(openapi: Mapping[str, Any], path: str, method: str, route: Mapping[str, Any]) -> list[str]:
    title = f"<span class='method'>{method.upper()}</span><code>{escape(path)}</code>"
    parts = [f"<h2>{title}</h2>", f"<p>{escape(route['summary'])}. {escape(route['description'])}</p>"]
    fields = [(f["name"], f["in"], f["schema"], f["required"]) for f in route.get("parameters", ())]
    body = _body_schema(openapi, route)
    required = body.get("required", ())
    fields += [
        (name, "body", schema, name in required) for name, schema in body.get("properties", {}).items()
    ]
    if fields:
        parts.append("<table>")
        parts += [
            f"<tr><td><code>{escape(name)}</code></td><td>{where}</td><td>{escape(_type(schema))}</td>"
            f"<td>{'required' if needed else escape(_default(schema))}</td></tr>"
            for name, where, schema, needed in fields
        ]
        parts.append("</table>")
    parts.append(f"<p>Answers: {_answers(route)}</p>")
    parts.append(f"<pre>{escape(_curl(path, method, route, body))}</pre>")
    return parts


def _answers(route: Mapping[str, Any]) -> str:
    """Each status; what a success means was said above."""
    said: list[str] = []
    for status, answer in route["responses"].items():
        number = f"<code>{escape(status)}</code>"
        said.append(number if status.startswith("2") else f"{number} {escape(answer['description'])}")
    return " ".join(said)


def _body_schema(openapi: Mapping[str, Any], route: Mapping[str, Any]) -> Mapping[str, Any]:
    content = route.get("requestBody", {}).get("content", {})
    schema: Mapping[str, Any] = content.get("application/json", {}).get("schema", {})
    return _resolved(openapi, schema)


def _resolved(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    for choice in (schema, *schema.get("anyOf", ())):
        if name := choice.get("$ref", "").rpartition("/")[2]:
            return openapi["components"]["schemas"][name]
    return {}


def _type(schema: Mapping[str, Any]) -> str:
    if values := schema.get("enum"):
        return " | ".join(str(value) for value in values)
    if choices := schema.get("anyOf"):
        return " | ".join(_type(choice) for choice in choices if choice.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "object"))


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    return "" if value in (None, [], {}) else f"default {value}"


def _curl(path: str, method: str, route: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    post = "" if method == "get" else f"-X {method.upper()} "
    line = f"curl {post}http://localhost:3000{path.replace('{id}', 'ID')}"
    if "application/gzip" in route.get("requestBody", {}).get("content", {}):
        return f"{line} --data-binary @bundle.tar.gz"
    if examples := body.get("examples"):
        return f"{line} \\\n  --json '{json.dumps(examples[0])}'"
    return line
