"""Names of orders: the same cause gives the same client id, after a restart as before, and another attempt another one.

A venue's client id is no key that stops a second order; it is how we recognise what is ours.
"""

import hashlib
from base64 import b32encode

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz234567")
NAMESPACE, HASHED = 4, 22


def intent_id(account: str, mount: str, cause: str, asset: str, place: int = 0) -> str:
    """What is meant to happen, as a hash.

    cause: the key of the message, `timer:<mount>:<due>`, `exit:<asset>:<arming>:<number>`, `command:<key>` …; place tells
    several orders of one asset from one cause apart. No part may hold the separator `|`.
    """
    parts = (account, mount, cause, asset, str(place))
    if any("|" in part for part in parts):
        raise ValueError(f"{parts!r}: the parts of an order's name may not hold '|'")
    return hashlib.sha256("|".join(("i1", *parts)).encode()).hexdigest()


def client_core(namespace: str, intent: str, attempt: int) -> str:
    """26 characters of a-z and 2-7: who we are, and which attempt at which intent."""
    if len(namespace) != NAMESPACE or not LETTERS.issuperset(namespace):
        raise ValueError(f"namespace {namespace!r} must be {NAMESPACE} characters of a-z and 2-7")
    if attempt < 1:
        raise ValueError(f"attempt {attempt} must be at least 1")
    digest = hashlib.sha256(f"c1|{intent}|{attempt}".encode()).digest()
    return namespace + b32encode(digest).decode().lower()[:HASHED]


def is_ours(core: str, namespace: str) -> bool:
    """Whether a client id without its venue's prefix can only have been made under this namespace."""
    return len(core) == NAMESPACE + HASHED and core.startswith(namespace) and LETTERS.issuperset(core)
