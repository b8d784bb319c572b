"""A body with its tags: one thing, two encodings, and whoever has either is told so."""

import gzip

import pytest
from fastapi import Request

from api.bodies import Body, body, told
from api.etags import etag, is_known, is_match

IT = body(b'{"a":1}' * 100)
OTHER = body(b'{"a":2}' * 100)


def asked(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


def test_each_encoding_has_its_own_tag_and_both_say_the_same() -> None:
    plain, zipped = told(IT, asked()), told(IT, asked(accept_encoding="br, gzip"))
    assert plain.headers["etag"] != zipped.headers["etag"]
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(zipped.body) == plain.body == IT.plain
    assert plain.headers["vary"] == zipped.headers["vary"] == "accept-encoding"
    assert len(zipped.body) < len(plain.body) / 5


@pytest.mark.parametrize("has", [IT.tag, IT.zipped_tag, f"W/{IT.tag}", f'"x", {IT.tag}', "*"])
@pytest.mark.parametrize("takes", [{}, {"accept_encoding": "gzip"}])
def test_who_has_it_in_either_encoding_is_told_that_it_is_known(
    has: str, takes: dict[str, str]
) -> None:
    answer = told(IT, asked(if_none_match=has, **takes))
    assert (answer.status_code, answer.body) == (304, b"")
    assert answer.headers["etag"] in {IT.tag, IT.zipped_tag}


@pytest.mark.parametrize("has", ["", "nonsense", OTHER.tag, IT.tag.strip('"')])
def test_who_has_another_is_given_it(has: str) -> None:
    assert told(IT, asked(if_none_match=has)).status_code == 200


def test_the_same_bytes_have_the_same_tags() -> None:
    assert body(IT.plain) == IT
    assert isinstance(OTHER, Body)
    assert {IT.tag, IT.zipped_tag}.isdisjoint({OTHER.tag, OTHER.zipped_tag})


def test_tags_match_strongly_where_something_is_changed_and_weakly_where_it_is_read() -> None:
    tag = etag(7)
    assert is_match(tag, tag)
    assert is_match("*", tag)
    assert not is_match(f"W/{tag}", tag)
    assert is_known(f"W/{tag}", tag)
    assert not is_known(None, tag)
