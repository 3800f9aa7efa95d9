"""Which tokens are taken."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.auth import verifier as verifier_module
from tornado_board.auth.claims import LEEWAY, UNKNOWN_KEY, Refused, Scope, Token, token_of
from tornado_board.auth.keys import public_keys, secret_key
from tornado_board.auth.verifier import Verifier

from .tokens import (
    PRIVATE,
    SECRET,
    claims,
    forged,
    jwk,
    jwks,
    part,
    public_pem,
    signed,
    tampered,
    token,
)

ALGORITHMS = list(PRIVATE)


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def verifier(*keys: Any, **options: Any) -> Verifier:
    made = Verifier(**options)
    made.use(keys or [secret_key(SECRET)])
    return made


def everything() -> Verifier:
    """With a key of each kind."""
    keys = [key for algorithm in PRIVATE for key in public_keys(public_pem(PRIVATE[algorithm]))]
    return verifier(secret_key(SECRET), *keys)


def reason(outcome: Token | Refused) -> str:
    assert isinstance(outcome, Refused)
    return outcome.reason


def test_a_good_token_says_what_it_allows() -> None:
    exp = time.time() + 60
    found = verifier().verify(token(exp=exp, scope="read submit", boards=["cup-*", "a"], sub="ada"))
    assert isinstance(found, Token)
    assert found.scopes == {Scope.READ, Scope.SUBMIT}
    assert "cup-7" in found.boards
    assert "b" not in found.boards
    assert found.only_player == "ada"
    assert found.until == exp + LEEWAY


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_each_kind_verifies(algorithm: str) -> None:
    of_pem = verifier(*public_keys(public_pem(PRIVATE[algorithm])))
    of_jwks = verifier(*public_keys(jwks(jwk(algorithm, kid="k"))))
    for found in (of_pem, of_jwks):
        assert isinstance(found.verify(signed(algorithm, scope="read")), Token)
        assert isinstance(found.verify(signed(algorithm, kid="k", scope="read")), Token)
        assert found.verify(token(scope="read")) is UNKNOWN_KEY
    assert of_jwks.verify(signed(algorithm, kid="other", scope="read")) is UNKNOWN_KEY


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ("read", "read"),
        ("submit", "submit"),
        ("write", "read submit write"),
        ("admin", "read submit write admin"),
        (["read", "submit"], "read submit"),
        ("read openid profile", "read"),
        ("READ", ""),
        ("", ""),
        ([], ""),
    ],
)
def test_scopes(scopes: Any, allowed: str) -> None:
    found = verifier().verify(token(scope=scopes))
    assert isinstance(found, Token)
    assert found.scopes == set(allowed.split())


def test_a_token_without_a_scope_allows_nothing() -> None:
    found = verifier().verify(token())
    assert isinstance(found, Token)
    assert found.scopes == frozenset()
    assert found.boards.every


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"scope": 7}, "scope"),
        ({"scope": ["read", 7]}, "scope"),
        ({"scope": {"read": True}}, "scope"),
        ({"boards": 7}, "boards"),
        ({"boards": [1]}, "boards"),
        ({"boards": ["a/b"]}, "boards"),
        ({"boards": ["[a-z]"]}, "boards"),
        ({"boards": [""]}, "boards"),
        ({"boards": ["a"] * 65}, "boards"),
        ({"boards": ["a" * 65]}, "boards"),
        ({"boards": {"a": 1}}, "boards"),
    ],
)
def test_a_claim_that_cannot_be_read_spoils_the_token(more: dict[str, Any], message: str) -> None:
    """It may be what was to limit it."""
    assert message in reason(verifier().verify(token(**more)))


def test_no_boards_are_none() -> None:
    found = verifier().verify(token(boards=[]))
    assert isinstance(found, Token)
    assert "a" not in found.boards


def test_times_are_checked_with_a_small_leeway() -> None:
    now = time.time()
    check = verifier()
    assert isinstance(check.verify(token(exp=now - LEEWAY / 2)), Token)
    assert isinstance(check.verify(token(nbf=now + LEEWAY / 2, iat=now + LEEWAY / 2)), Token)
    assert reason(check.verify(token(exp=now - LEEWAY - 2))) == "The token has expired."
    for early in (token(nbf=now + LEEWAY + 5), token(iat=now + LEEWAY + 5)):
        assert reason(check.verify(early)) == "The token is not valid yet."
    assert "lacks a claim" in reason(check.verify(jwt.encode({"scope": "read"}, SECRET, "HS256")))


@pytest.mark.parametrize(
    "exp", ["soon", None, True, [], {}, float("inf"), float("nan"), "1e400", 10**400]
)
def test_an_end_that_is_no_number(exp: Any) -> None:
    assert isinstance(verifier().verify(token(exp=exp)), Refused)


def test_what_is_signed_otherwise_is_refused() -> None:
    check = everything()
    assert "signature" in reason(check.verify(token("another secret of at least 32 bytes...")))
    assert "signature" in reason(check.verify(tampered(token(scope="read"), scope="admin")))
    header, payload, signature = token(scope="read").split(".")
    assert "signature" in reason(check.verify(f"{header}.{payload}."))
    other = token(scope="admin").rpartition(".")[2]
    assert "signature" in reason(check.verify(f"{header}.{payload}.{other}"))
    assert isinstance(check.verify(f"{header}.{payload}.{signature[:-2]}"), Refused)


@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], "HS1"])
@pytest.mark.parametrize("secret", [None, b"", SECRET.encode()], ids=["no key", "empty", "key"])
def test_none_never_passes(none: Any, secret: bytes | None) -> None:
    check = everything()
    header = {"alg": none, "typ": "JWT"}
    assert isinstance(check.verify(forged(header, claims(scope="admin"), secret)), Refused)
    without = forged({"typ": "JWT"}, claims(scope="admin"), secret)
    assert isinstance(check.verify(without), Refused)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_public_key_is_never_taken_for_a_secret(algorithm: str) -> None:
    """The swap of algorithms: what everybody knows, used as the secret of HS256."""
    public = public_pem(PRIVATE[algorithm])
    for check in (verifier(*public_keys(public)), everything()):
        for material in (public, public.strip(), json.dumps(jwk(algorithm)).encode()):
            for name in ("HS256", algorithm):
                text = forged({"alg": name}, claims(scope="admin"), material)
                assert isinstance(check.verify(text), Refused)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS512", "PS256", "ES384", "ES256K"])
def test_other_algorithms_are_not_taken(algorithm: str) -> None:
    text = forged({"alg": algorithm}, claims(scope="admin"), SECRET.encode())
    assert "algorithm" in reason(everything().verify(text))


def test_a_critical_header_is_not_understood() -> None:
    header = {"alg": "HS256", "crit": ["exp"], "exp": 1}
    assert isinstance(verifier().verify(forged(header, claims(), SECRET.encode())), Refused)


def test_issuer_and_audience() -> None:
    check = verifier(secret_key(SECRET), issuer="https://id.example", audience="boards")
    assert isinstance(check.verify(token(iss="https://id.example", aud="boards")), Token)
    assert isinstance(check.verify(token(iss="https://id.example", aud=["x", "boards"])), Token)
    assert "issuer" in reason(check.verify(token(iss="https://other.example", aud="boards")))
    assert "aud" in reason(check.verify(token(iss="https://id.example", aud="x")))
    assert "lacks" in reason(check.verify(token(aud="boards")))
    assert "lacks" in reason(check.verify(token(iss="https://id.example")))
    assert isinstance(verifier().verify(token(iss="anybody", aud="anything")), Token)


@given(
    st.one_of(
        st.text(),
        st.text("abcAZ09-_.", max_size=300),
        st.tuples(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40)).map(
            lambda parts: ".".join(map(part, parts))
        ),
    )
)
def test_whatever_comes_is_refused_by_an_answer(text: str) -> None:
    assert isinstance(everything().verify(text), Refused)


def test_what_is_nested_deeply_is_refused_by_an_answer() -> None:
    deep = b"[" * 2500 + b"]" * 500
    assert isinstance(verifier().verify(f"{part(deep)}.{part(b'{}')}.x"), Refused)
    header = part({"alg": "HS256"})
    assert isinstance(verifier().verify(f"{header}.{part(deep)}.x"), Refused)
    signed_deep = forged({"alg": "HS256"}, b"[" * 1500, SECRET.encode())
    assert isinstance(verifier().verify(signed_deep), Refused)
    assert isinstance(verifier().verify("a." * 50_000), Refused)


def test_a_token_is_remembered_until_it_expires_or_the_keys_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    check = verifier(secret_key(SECRET), clock=clock)
    text = token(scope="read", exp=clock.now + 60)
    first = check.verify(text)
    verified = 0
    decode = jwt.decode

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal verified
        verified += 1
        return decode(*arguments, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    assert check.verify(text) is first
    assert verified == 0
    clock.now += 59 + LEEWAY
    assert check.verify(text) is first
    clock.now += 1
    assert reason(check.verify(text)) == "The token has expired."
    text = token(scope="read", exp=clock.now + 60)
    assert isinstance(check.verify(text), Token)
    check.use([secret_key(SECRET), secret_key(SECRET[::-1])])
    verified = 0
    assert isinstance(check.verify(text), Token)
    assert verified == 1
    check.use([secret_key(SECRET[::-1])])
    assert isinstance(check.verify(text), Refused)


def test_no_more_tokens_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_module, "MOST_REMEMBERED", 3)
    check = verifier()
    texts = [token(scope="read", jti=str(number)) for number in range(5)]
    for text in texts:
        check.verify(text)
        check.verify(texts[0])
    assert list(check._remembered) == [texts[3], texts[4], texts[0]]


def test_few_keys_are_tried_with_a_token_that_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [ed25519.Ed25519PrivateKey.generate() for _ in range(20)]
    entries = [jwk("EdDSA", key, kid=str(number)) for number, key in enumerate(keys)]
    check = verifier(*public_keys(jwks(*entries)))
    tried = 0
    decode = jwt.decode

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal tried
        tried += 1
        return decode(*arguments, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    assert isinstance(check.verify(signed("EdDSA", keys[19], kid="19")), Token)
    assert tried == 1
    assert isinstance(check.verify(signed("EdDSA", keys[3])), Token)
    assert isinstance(check.verify(signed("EdDSA", keys[19])), Refused)
    assert tried == 1 + 4 + verifier_module.MOST_TRIED


def test_what_is_refused_is_not_remembered() -> None:
    check = verifier()
    for _ in range(3):
        check.verify(token("another secret of at least 32 bytes..."))
    assert not check._remembered


def test_a_token_is_still_good_while_its_key_is_there() -> None:
    clock = Clock()
    check = verifier(secret_key(SECRET), clock=clock)
    found = check.verify(token(scope="read", exp=clock.now + 60))
    assert isinstance(found, Token)
    assert check.still_good(found)
    clock.now += 60 + LEEWAY
    assert not check.still_good(found)
    clock.now -= 30
    check.use([secret_key(SECRET[::-1])])
    assert not check.still_good(found)


def test_writes_are_counted_by_the_issued_token_whatever_bytes_spell_it() -> None:
    """ES256 can sign the same claims in any number of ways, and each is another text."""
    check = verifier(*public_keys(public_pem(PRIVATE["ES256"])))
    same = claims(jti="1", iss="i")
    texts = {jwt.encode(same, PRIVATE["ES256"], "ES256") for _ in range(3)}
    assert len(texts) == 3
    assert len({found.id for text in texts if isinstance(found := check.verify(text), Token)}) == 1


def test_nothing_of_a_token_is_printed() -> None:
    text = token(scope="read", sub="ada", jti="counted")
    found = token_of(claims(scope="read", sub="ada"), text, "thumbprint")
    assert isinstance(found, Token)
    assert "ada" not in repr(found)
    assert found.id not in repr(found)
    assert SECRET not in repr(secret_key(SECRET))
