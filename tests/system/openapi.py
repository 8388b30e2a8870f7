#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""openapi.yaml, read: whether it is one, and whether what is said on the wire is what it says.

    tests/system/openapi.py FILE     its mistakes, a line each; `make lint` calls it
"""

import json
import re
import sys
import urllib.parse
from pathlib import Path

import jsonschema
import yaml

FILE = Path(__file__).resolve().parents[2] / "packaging/remote/openapi.yaml"
DRAFT = jsonschema.Draft202012Validator  # what OpenAPI 3.1 has its schemas in
FORMATS = jsonschema.FormatChecker(formats=())
FORMATS.checks("date-time")(lambda v: not isinstance(v, str) or bool(re.fullmatch(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", v)))

VERBS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def closed(needed=(), /, **properties):
    """An object with these members and no others."""
    return {"type": "object", "properties": properties, "required": list(needed), "additionalProperties": False}


def each(schema, names=".*"):
    return {"type": "object", "patternProperties": {f"^{names}$": schema}, "additionalProperties": False}


# As much of OpenAPI 3.1 as is used here; what is not in it is a slip, or has to be added.
TEXT, SCHEMA = {"type": "string", "minLength": 1}, {"type": "object"}
REFERENCE = closed(["$ref"], **{"$ref": TEXT})
BODY = each(closed(["schema"], schema=SCHEMA), "application/json")


def or_reference(schema):
    return {"if": {"required": ["$ref"]}, "then": REFERENCE, "else": schema}


HEADER = closed(["schema"], schema=SCHEMA, description=TEXT)
PARAMETER = closed(["name", "in", "schema"], name=TEXT, schema=SCHEMA, description=TEXT, required={"type": "boolean"},
                   **{"in": {"enum": ["path", "query", "header"]}})
PARAMETER["if"] = {"properties": {"in": {"const": "path"}}}
PARAMETER["then"] = {"properties": {"required": {"const": True}}, "required": ["required"]}
RESPONSE = closed(["description"], description=TEXT, content=BODY, headers=each(HEADER))
OPERATION = closed(["responses"], summary=TEXT, description=TEXT, responses=each(or_reference(RESPONSE), "[1-5](XX|[0-9]{2})"),
                   parameters={"type": "array", "items": or_reference(PARAMETER)},
                   requestBody=closed(["content"], content=BODY, required={"type": "boolean"}))
SECURITY = {"type": "object", "required": ["type"]}
DOCUMENT = closed(
    ["openapi", "info", "paths"], openapi={"type": "string", "pattern": r"^3\.1\.\d+$"},
    info=closed(["title", "version"], title=TEXT, version=TEXT, description=TEXT,
                license=closed(["name"], name=TEXT, identifier=TEXT)),
    servers={"type": "array", "items": closed(["url"], url=TEXT)},
    security={"type": "array", "items": each({"type": "array"})},
    paths=each(closed(**{verb: OPERATION for verb in VERBS}), "/.*"),
    components=closed(securitySchemes=each(SECURITY), parameters=each(PARAMETER), responses=each(RESPONSE),
                      schemas=each(SCHEMA)))


def nodes(value, at="#"):
    """Every object and list in it, with the way there."""
    yield at, value
    for key, member in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from nodes(member, f"{at}/{key}")


class Contract:
    def __init__(self, path=FILE):
        self.document = yaml.safe_load(Path(path).read_text())
        self.base = urllib.parse.urlsplit(self.document["servers"][0]["url"]).path
        self.seen = set()

    # The document itself

    def resolve(self, node):
        while "$ref" in node:
            way, node = node["$ref"].removeprefix("#/").split("/"), self.document
            for name in way:
                node = node[name]
        return node

    def mistakes(self):
        """What is wrong with it, each in a line."""
        for e in DRAFT(DOCUMENT).iter_errors(self.document):
            yield f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}"
        used = set()
        for at, node in nodes(self.document):
            if isinstance(node, dict) and isinstance(node.get("$ref"), str):
                used.add(node["$ref"])
                try:
                    self.resolve(node)
                except (KeyError, TypeError):
                    yield f"{at}: there is no {node['$ref']}"
        for kind in ("parameters", "responses", "schemas"):
            for name in self.document["components"].get(kind, {}):
                if f"#/components/{kind}/{name}" not in used:
                    yield f"components/{kind}/{name}: nothing refers to it"
        yield from self._wrong_schemas()
        for path, verb, operation in self._operations():
            names = {p["name"] for p in map(self.resolve, operation.get("parameters", ())) if p["in"] == "path"}
            if names != set(re.findall(r"{(\w+)}", path)):
                yield f"{verb} {path}: its parameters are {sorted(names)}"

    def _wrong_schemas(self):
        for at, node in nodes(self.document):
            schema = node.get("schema") if isinstance(node, dict) else None
            for name, s in ({"schema": schema} if schema else node if at == "#/components/schemas" else {}).items():
                try:
                    DRAFT.check_schema(s)
                except jsonschema.SchemaError as e:
                    yield f"{at}/{name}: {e.message}"
                    continue
                for way, part in nodes(s, f"{at}/{name}"):
                    if isinstance(part, dict) and isinstance(part.get("required"), list):
                        for member in set(part["required"]) - set(part.get("properties", ())):
                            yield f"{way}: {member} is required, and not said what it is"
                    if isinstance(part, dict) and isinstance(part.get("examples"), list):
                        for example in part["examples"]:
                            yield from (f"{way}: {e.message}" for e in self._validator(part).iter_errors(example))

    # What is said

    def request(self, message):
        """Of lockbox; a message as web.Message has it."""
        url = urllib.parse.urlsplit(message.path)
        path, operation, values = self._find(message.method, url.path)
        query = dict(urllib.parse.parse_qsl(url.query, strict_parsing=bool(url.query)))
        parameters = [self.resolve(p) for p in operation.get("parameters", ())]
        assert set(query) <= {p["name"] for p in parameters if p["in"] == "query"}, message.path
        for p in parameters:
            value = {"path": values, "query": query, "header": message.headers}[p["in"]].get(p["name"])
            assert value is not None or not p.get("required"), f"{p['name']} is not in {message}"
            if value is not None:
                wanted = self.resolve(p["schema"])
                self._check(p["schema"], int(value) if wanted.get("type") == "integer" else value)
                self.seen.add(f"{message.method} {path} {p['name']}")
        if "requestBody" in operation:
            self._body(operation["requestBody"], message.headers.get("Content-Type"), message.body)
        else:
            assert not message.body, message

    def response(self, message, status, body, headers):
        """Of the service, to that message."""
        path, operation, _ = self._find(message.method, urllib.parse.urlsplit(message.path).path)
        codes = [code for code in operation["responses"] if code == str(status) or code == f"{status // 100}XX"]
        assert codes, f"HTTP {status} to {message}"
        self.seen.add(f"{message.method} {path} {min(codes)}")
        answer = self.resolve(operation["responses"][min(codes)])
        if "content" in answer:
            self._body(answer, headers.get("Content-Type"), body)
        else:
            assert not body, f"HTTP {status} with {body[:200]!r}"

    def unseen(self):
        """What the document says, and no message had: members, parameters, answers."""
        said = set()
        for name, schema in self.document["components"]["schemas"].items():
            said |= set(self._members(schema, name))
        for path, verb, operation in self._operations():
            said |= {f"{verb.upper()} {path} {self.resolve(p)['name']}" for p in operation.get("parameters", ())}
            said |= {f"{verb.upper()} {path} {code}" for code in operation["responses"]}
        return said - self.seen

    def _operations(self):
        return [(path, verb, operation) for path, item in self.document["paths"].items() for verb, operation in item.items()]

    def _find(self, method, path):
        assert path.startswith(self.base), path
        for template, verb, operation in self._operations():
            pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template)
            fits = re.fullmatch(pattern, path.removeprefix(self.base))
            if fits and verb.upper() == method:
                return template, operation, fits.groupdict()
        raise AssertionError(f"{method} {path} is not in the interface")

    def _validator(self, schema):
        return DRAFT(schema, resolver=jsonschema.RefResolver.from_schema(self.document), format_checker=FORMATS)

    def _check(self, schema, value):
        wrong = jsonschema.exceptions.best_match(self._validator(schema).iter_errors(value))
        assert not wrong, f"{'/'.join(map(str, wrong.absolute_path))}: {wrong.message}"

    def _body(self, holder, kind, body):
        assert kind == "application/json", kind
        schema, value = holder["content"]["application/json"]["schema"], json.loads(body)
        self._check(schema, value)
        self._visit(schema, value, "")

    def _visit(self, schema, value, name):
        if "$ref" in schema:
            name, schema = schema["$ref"].rpartition("/")[2], self.resolve(schema)
        for option in schema.get("oneOf", ()):
            if self._validator(option).is_valid(value):
                self._visit(option, value, name)
        for member, inner in schema.get("properties", {}).items():
            if isinstance(value, dict) and member in value:
                self.seen.add(f"{name}.{member}")
                self._visit(inner, value[member], f"{name}.{member}")

    def _members(self, schema, name):
        for member, inner in schema.get("properties", {}).items():
            yield f"{name}.{member}"
            yield from self._members(inner, f"{name}.{member}")


if __name__ == "__main__":
    wrong = list(Contract(sys.argv[1]).mistakes())
    print("\n".join(f"{sys.argv[1]}: {line}" for line in wrong), end="\n" if wrong else "")
    sys.exit(bool(wrong))
