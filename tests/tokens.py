"""Keys and tokens that tests make, by hand where PyJWT would not make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = secrets.token_urlsafe(32)

#: A private key of each kind that is taken, by its algorithm.
PRIVATE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def public_pem(key: Any) -> bytes:
    """The public half of a private key."""
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


def jwk(algorithm: str, key: Any = None, **more: Any) -> dict[str, Any]:
    """An entry of a JWKS, with the public half of a key of this algorithm."""
    public = (key or PRIVATE[algorithm]).public_key()
    entry: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    return entry | more


def jwks(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


def claims(**claims: Any) -> dict[str, Any]:
    """`claims`, good for longer than all tests take."""
    return {"exp": time.time() + 7200, **claims}


def token(secret: str = SECRET, **more: Any) -> str:
    """A token of this secret."""
    return jwt.encode(claims(**more), secret, "HS256")


def signed(algorithm: str, key: Any = None, kid: str | None = None, **more: Any) -> str:
    """A token of a private key of this algorithm."""
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**more), key or PRIVATE[algorithm], algorithm, headers=headers)


def part(value: Any) -> str:
    """A part of a token, of JSON or bytes."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: Any, payload: Any, secret: bytes | None = None) -> str:
    """A token with this header, signed with HMAC-SHA256 whatever the header says; without a
    `secret`, not at all."""
    text = f"{part(header)}.{part(payload)}"
    if secret is None:
        return f"{text}."
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def tampered(good: str, **more: Any) -> str:
    """`good` with other claims, and the signature that it had."""
    header, payload, signature = good.split(".")
    there = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{part(there | more)}.{signature}"
