#!/usr/bin/env python3
"""verify_journal.py JOURNAL PUBKEY.pem: verifies a journal as docs/journal-format.md describes it.

Written from that document alone, with nothing but Python's standard library, to show that it can
be: no code is shared with agp. Exit 0 intact, 1 not intact, 2 could not check.
"""
import base64, decimal, hashlib, json, os, re, sys

LINE_BYTES, DEPTH, SAFE = 1 << 20, 127, (1 << 53) - 1
SPKI = bytes.fromhex("302a300506032b6570032100")
NULLABLE = ("signing_key_id", "approval_binding_type", "intendant_identity_uri", "on_behalf_of")
OPTIONAL = ("correlation_id", "gsb_receipt_tip_hash")
FIELDS = {"v", "seq", "ts", "prevHash", "hash", "signature", "kind", "actor", "payload",
          "tenant_id", *NULLABLE}
TIME = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
                  r"T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)\.[0-9]{3}Z")
HEX = re.compile(r"[0-9a-f]{64}")


# Ed25519, RFC 8032 section 5.1.7 (and 6, whose point arithmetic this is).
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)


def add(a, b):
    A, B = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    C, E = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = add(total, point)
        point, n = add(point, point), n >> 1
    return total


def decompress(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def verifies(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    x, y, z, _ = decompress(key)
    x, y, z, _ = add(times(s, BASE), times(k, (P - x, y, z, (P - x) * y % P)))
    z = pow(z, -1, P)
    return (y * z % P | (x * z % P & 1) << 255).to_bytes(32, "little") == signature[:32]


# Canonical JSON, RFC 8785.
def number(value):
    if isinstance(value, int) and abs(value) <= SAFE:
        return str(value)
    value = float(value)
    if value == 0:
        return "0"
    sign, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, digits))
    count, point = len(digits), len(digits) + exponent
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if count > 1 else "") + "e%+d" % (point - 1)
    return "-" * sign + text


def canonical(value, depth=1):
    if isinstance(value, (dict, list)) and depth > DEPTH:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        parts = (canonical(name) + ":" + canonical(value[name], depth + 1) for name in names)
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item, depth + 1) for item in value) + "]"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


# Strict JSON.
def unique(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate name")
    return value


def refuse(text):
    raise ValueError(text + " is not JSON")


def finite(text):
    value = float(text)
    return value if abs(value) != float("inf") else refuse(text)


def read(raw):
    value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse,
                       parse_float=finite, parse_int=lambda t: int(t) if finite(t) else 0)
    canonical(value).encode("utf-8")  # refuses lone surrogates and deep nesting
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def decode(text, length):
    raw = base64.b64decode(text, validate=True)
    if len(raw) != length or base64.b64encode(raw).decode() != text:
        raise ValueError("not %d bytes in base64" % length)
    return raw


def check_event(event, key, before):
    """Raises ValueError unless the event is sound and follows `before`, its seq and hash."""
    text = lambda name: event[name] if isinstance(event[name], str) else refuse(name)
    if type(event.get("v")) is not int or event["v"] != 2:
        raise ValueError("not version 2")
    if not FIELDS <= event.keys() or event.keys() - FIELDS - set(OPTIONAL):
        raise ValueError("missing or unknown field")
    shapes = [type(event["seq"]) is int and event["seq"] <= SAFE, TIME.fullmatch(text("ts")), HEX.fullmatch(text("hash")),
              text("kind"), text("actor") in ("session_owner", "claude_process"),
              isinstance(event["payload"], dict), event["tenant_id"] is None,
              *(isinstance(event.get(n), (str, type(None))) for n in NULLABLE + OPTIONAL)]
    if not all(shapes):
        raise ValueError("a field has the wrong type or shape")
    if (event["seq"], event["prevHash"]) != (before[0] + 1, before[1]):
        raise ValueError("does not follow event %d" % before[0])
    content = {n: v for n, v in event.items() if n not in ("hash", "signature")}
    signed = ((event["prevHash"] or "") + canonical(content)).encode("utf-8")
    if hashlib.sha256(signed).hexdigest() != event["hash"]:
        raise ValueError("hash does not match the content")
    if not verifies(key, signed, decode(text("signature"), 64)):
        raise ValueError("signature does not verify")
    if event["signing_key_id"] not in (None, hashlib.sha256(SPKI + key).hexdigest()[:16]):
        raise ValueError("signing_key_id is another key's")


def spki(text):
    der = decode(text, len(SPKI) + 32)
    return der[12:] if der[:12] == SPKI else refuse("key")


def check_head(raw, named, keys):
    """`named` are the hashes of events by seq; `keys` may have signed the head."""
    if len(raw) > 64 << 10:
        raise ValueError("too large")
    head = read(raw)
    if head.keys() != {"hash", "seq", "signature"} or type(head["seq"]) is not int:
        raise ValueError("not a head")
    if head["hash"] != named.get(head["seq"], ""):
        raise ValueError("the event that it names is not there")
    signed = canonical({"hash": head["hash"], "seq": head["seq"]}).encode()
    signature = decode(head["signature"], 64)
    if not any(verifies(key, signed, signature) for key in keys(head["seq"])):
        raise ValueError("signature does not verify")


def main(journal, key_file):
    with open(key_file, encoding="ascii") as file:
        key = spki(re.fullmatch(r"\s*-----BEGIN PUBLIC KEY-----\s*(\S+)\s*"
                                r"-----END PUBLIC KEY-----\s*", file.read())[1])
    head = b""
    if os.path.exists(journal + ".head"):
        with open(journal + ".head", "rb") as file:  # before the journal, which only grows
            head = file.read()
    seq, last, hashes, signers = 0, None, {}, {}
    place = "journal"
    try:
        with open(journal, "rb") as file:
            for line, raw in enumerate(file, 1):  # a binary file is split at \n alone
                place = "line %d" % line
                if not raw.endswith(b"\n") or len(raw) - 1 > LINE_BYTES:
                    raise ValueError("torn or too long")
                event = read(raw)
                check_event(event, key, (seq, last))
                seq, last = event["seq"], event["hash"]
                hashes[seq], signers[seq] = last, key
                if event["kind"] == "key.rotated":
                    key = spki(event["payload"].get("newPublicKey"))
        place = "head"
        check_head(head, hashes, lambda seq: (signers[seq], key))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        # What follows cannot be judged; agp-verify goes on and tells every problem.
        print("FAIL %s: %s" % (place, error))
        return 1
    print("OK %d events, last %s" % (seq, last))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError, TypeError) as error:
        print(__doc__, "\ncould not check:", error, file=sys.stderr)
        sys.exit(2)
