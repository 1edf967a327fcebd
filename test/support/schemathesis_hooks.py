"""What the fuzzer changes in the requests that it makes up: most are about things that exist."""

import itertools
import json
import os
import re

import schemathesis

# It knows no lines of JSON: they are sent as the text that they are.
@schemathesis.serializer("application/x-ndjson")
def _lines_of_json(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf8", "replace")


_numbers = itertools.count()
# By path up to it (`/v3/session/:session_id`), and by name of a body's member.
_PLACES = json.loads(os.environ["FUZZ_PLACES"])
_MEMBERS = json.loads(os.environ["FUZZ_MEMBERS"])


@schemathesis.hook
def before_call(context, case, **kwargs):
    number = next(_numbers)
    # With a few short keys, nearly every request would be refused for its key.
    if case.headers and "Idempotency-Key" in case.headers and number % 5:
        case.headers["Idempotency-Key"] = f"fuzz-{number}"
    # What is deleted is not there for the others.
    if number % (10 if "delete" in case.operation.label.lower() else 3) == 1:
        _use_real_ids(case, number)


def _use_real_ids(case, number):
    path = re.sub(r"\{(\w+)\}", r":\1", case.operation.path)
    for place, ids in _PLACES.items():
        name = place.rsplit(":", 1)[1]
        if path.startswith(place + "/") and case.path_parameters and name in case.path_parameters:
            case.path_parameters[name] = ids[number % len(ids)]
    if isinstance(case.body, dict):
        for name in case.body.keys() & _MEMBERS.keys():
            case.body[name] = _MEMBERS[name]
