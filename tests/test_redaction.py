import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@host:554/path", "rtsp://***@host:554/path"),
        ("cannot open 'rtsp://user:p@ss@host/a': 401", "cannot open 'rtsp://***@host/a': 401"),
        ("mqtts://only-a-name@host", "mqtts://***@host"),
        ("http://host/a?token=abc&x=1", "http://host/a?token=***&x=1"),
        ("srt://host:9?passphrase=abc", "srt://host:9?passphrase=***"),
        ("rtsp://a:b@one/ and rtsp://c:d@two/", "rtsp://***@one/ and rtsp://***@two/"),
        ("rtsp://user:pa/ss@host/path", "rtsp://***@host/path"),
        ("http://host:8080/path@2x.png", "http://host:8080/path@2x.png"),
        ("http://host/path@2x.png", "http://host/path@2x.png"),
        ("mail to someone@example.org", "mail to someone@example.org"),
        ("video.mp4", "video.mp4"),
    ],
)
def test_credentials_go_and_all_else_stays(text, shown):
    assert redact(text) == shown


secrets = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="/?#'\""), min_size=1)


@given(secrets, secrets)
def test_no_password_survives(user, password):
    password = f"<{password}>"
    assert password not in redact(f"x rtsp://{user}:{password}@host/path y")
