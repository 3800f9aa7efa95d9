"""Keys as files and JWKS have them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.auth.keys import (
    MOST_KEYS,
    BadKey,
    private_key,
    public_keys,
    secret_key,
    secret_keys,
)

from .tokens import PRIVATE, SECRET, jwk, jwks, private_pem, public_pem


@pytest.mark.parametrize(
    "weak", ["", "a", "x" * 31, "ab" * 30, " " * 40, public_pem(PRIVATE["RS256"]).decode()]
)
def test_a_weak_secret_is_refused_and_not_shown(weak: str) -> None:
    with pytest.raises(BadKey) as caught:
        secret_key(weak)
    assert len(weak) < 2 or weak not in str(caught.value)


def test_a_file_has_a_secret_a_line() -> None:
    first, second = secret_keys(f"\n{SECRET}\n  {SECRET[::-1]}\r\n\n")
    assert (first, second) == (secret_key(SECRET), secret_key(SECRET[::-1]))
    with pytest.raises(BadKey, match="empty"):
        secret_keys("\n \n")
    with pytest.raises(BadKey, match="32 or more"):
        secret_keys(f"{SECRET}\nshort\n")
    with pytest.raises(BadKey, match="4 lines"):
        secret_keys(f"{SECRET}\n" * 4)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_the_kind_of_a_key_says_its_algorithm(algorithm: str) -> None:
    (of_pem,) = public_keys(public_pem(PRIVATE[algorithm]))
    (of_jwk,) = public_keys(json.dumps(jwk(algorithm, kid="1")).encode())
    assert of_pem.algorithm == of_jwk.algorithm == algorithm
    assert of_pem.thumbprint == of_jwk.thumbprint
    assert (of_pem.id, of_jwk.id) == (None, "1")
    assert private_key(private_pem(PRIVATE[algorithm]))[0] == algorithm


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": 7},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": ["RSA"]},
        jwk("ES256", use="enc"),
        jwk("ES256", key_ops=["sign"]),
        jwk("ES256", key_ops="verify"),
        jwk("RS256", alg="HS256"),
        jwk("RS256", alg="PS256"),
        jwk("RS256", alg=["RS256"]),
        jwk("ES256", kid=7),
        jwk("ES256", ec.generate_private_key(ec.SECP384R1())),
        jwk("EdDSA", ed448.Ed448PrivateKey.generate()),
        jwk("RS256", rsa.generate_private_key(65537, 1024)),
    ],
)
def test_what_is_no_key_for_signatures_is_passed_over(entry: Any) -> None:
    skipped: list[str] = []
    (found,) = public_keys(jwks(entry, jwk("EdDSA")), skipped)
    assert found.algorithm == "EdDSA"
    assert len(skipped) == 1
    with pytest.raises(BadKey, match="no key"):
        public_keys(jwks(entry))


@given(
    st.sampled_from(["RSA", "EC", "OKP"]),
    st.dictionaries(
        st.sampled_from(["crv", "x", "y", "n", "e", "d", "alg", "use", "kid", "key_ops"]),
        st.one_of(
            st.none(),
            st.integers(),
            st.text(max_size=60),
            st.sampled_from(["P-256", "Ed25519", "AQAB", "", "A" * 43]),
            st.lists(st.text(max_size=5), max_size=2),
        ),
    ),
)
def test_whatever_a_jwks_holds_is_a_key_or_none(kind: str, entry: dict[str, Any]) -> None:
    with contextlib.suppress(BadKey):
        public_keys(jwks({"kty": kind, **entry}))


def test_a_private_key_in_a_jwks_serves_as_the_public_one() -> None:
    secret = json.loads(json.dumps(jwk("EdDSA")))
    (found,) = public_keys(jwks(secret | {"d": "AA"}))
    assert (found,) == tuple(public_keys(jwks(jwk("EdDSA"))))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        b"[]",
        b"7",
        b'{"keys": 7}',
        b'{"keys": []}',
        b'{"keys": [' + b"[" * 50_000,
        b"\xff\xfe",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        private_pem(PRIVATE["ES256"]),
        jwks(*[jwk("EdDSA")] * (MOST_KEYS + 1)),
    ],
)
def test_what_is_no_file_of_keys(data: bytes) -> None:
    with pytest.raises(BadKey):
        public_keys(data)


@pytest.mark.parametrize("data", [b"", b"x", public_pem(PRIVATE["ES256"])])
def test_what_is_no_private_key(data: bytes) -> None:
    with pytest.raises(BadKey):
        private_key(data)
