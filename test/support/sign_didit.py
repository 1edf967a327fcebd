"""Signs webhooks as Didit does. Reads a JSON array of {body, secret} on stdin, where body is JSON text; writes a JSON
array with, for each, the raw body that Didit would send (sorted, compact, ASCII-escaped) and both signatures."""

import hashlib
import hmac
import json
import sys

from shorten_floats import shorten_floats


def sign(case):
    payload = shorten_floats(json.loads(case["body"]))
    key = case["secret"].encode("utf-8")
    raw = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {"raw": raw, "signature": digest(key, raw), "signatureV2": digest(key, canonical)}


def digest(key, text):
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).hexdigest()


sys.stdout.reconfigure(encoding="utf-8")
json.dump([sign(case) for case in json.loads(sys.stdin.buffer.read())], sys.stdout)
