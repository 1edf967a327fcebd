"""Verifies webhooks as a Didit receiver in Python does. Reads a JSON array of {body, secret, signature} on stdin; writes
a JSON array with, for each, whether the signature over the parsed and re-serialised body matches."""

import hashlib
import hmac
import json
import sys

from shorten_floats import shorten_floats


def verifies(case):
    parsed = shorten_floats(json.loads(case["body"]))
    text = json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        message = text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    expected = hmac.new(case["secret"].encode("utf-8"), message, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, case["signature"])


sys.stdout.reconfigure(encoding="utf-8")
json.dump([verifies(case) for case in json.loads(sys.stdin.buffer.read())], sys.stdout)
