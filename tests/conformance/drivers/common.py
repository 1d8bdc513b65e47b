"""What the drivers in Python share: the loop over lines, the clock, JSON digit for digit."""

import decimal
import json
import sys
import time

TIMED = ("get", "put", "patch", "create", "delete")


class Unsupported(Exception):
    pass


def parse(text):
    return json.loads(text, parse_float=decimal.Decimal)


def dump(value):
    """JSON text; decimal.Decimal as its digits. Numbers of other kinds of a binding: their str()."""
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{dump(one)}" for name, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(dump, value)) + "]"
    return float_text(value) if isinstance(value, float) else str(value)


def float_text(value):
    """As PROTOCOL.md writes a double: Python's text but for the exponent."""
    mantissa, mark, exponent = repr(value).partition("e")
    return f"{mantissa}e{int(exponent)}" if mark else mantissa


def text_or_none(record):
    return None if record is None else dump(record)


def run(operations, describe):
    """operations: an object with a method for each operation; describe: an exception -> the error's members, or None."""
    for line in sys.stdin:
        request = {name: value for name, value in json.loads(line).items() if value is not None}
        operation = request.pop("op")
        started = time.monotonic_ns()
        answer = answer_of(operations, operation, request, describe)
        if operation in TIMED:
            # What converts documents is no part of a read: the operation may have looked at the clock itself.
            ok = answer.get("ok", {})
            answer["end_ns"] = ok.pop("end_ns", time.monotonic_ns())
            answer["start_ns"] = ok.pop("start_ns", started)
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def answer_of(operations, operation, request, describe):
    method = getattr(operations, operation, None)
    if method is None:
        return {"unsupported": f"no operation {operation}"}
    try:
        return {"ok": method(**request)}
    except Unsupported as words:
        return {"unsupported": str(words)}
    except Exception as error:  # whatever it is, the runner is told
        described = describe(error)
        if described is None:
            raise
        return {"error": described}
