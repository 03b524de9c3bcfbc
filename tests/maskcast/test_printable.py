"""What would drive a terminal, end a line or turn its direction is in no id and no prompt, and is shown escaped."""

import json
import re

import pytest
from typer.testing import CliRunner

from maskcast.errors import UsageError
from maskcast.printable import UNPRINTABLE, check_printable, printable
from maskcast.prompts import clean_prompt
from sinks.mqtt.control import ControlError, parse_control
from sources.location import check_stream_id
from streaming.api import track
from streaming.cli.app import app
from streaming.cli.terminal import say
from streaming.settings.tables import load_settings

# One of each kind: C0, DEL, C1, the separators of lines, and the twelve of the property Bidi_Control.
BAD = [
    *"\x00\x1b\x7f\x85\x9b\u2028\u2029\u061c\u200e\u200f",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
]


@pytest.mark.parametrize("character", BAD, ids=lambda one: f"U+{ord(one):04X}")
def test_it_is_refused_by_name_at_every_door(character, tmp_path):
    said = re.escape(f"U+{ord(character):04X}")
    text = f"a{character}b"
    doors = [lambda: check_stream_id(text), lambda: next(track("x.mp4", "cat", stream=text))]
    if not character.isspace():  # in a prompt those are blanks like others, and folded
        with pytest.raises(ValueError, match=said):
            clean_prompt(text)
        doors += [lambda: load(tmp_path, "door", text)]
        done = CliRunner().invoke(app, ["track", str(tmp_path), "--prompt", text])
        assert (done.exit_code, bool(re.search(said, done.stderr))) == (2, True), done.stderr
    doors += [lambda: load(tmp_path, text, "cat")]
    for door in doors:
        with pytest.raises(UsageError, match=f"{said}|control character"):
            door()
    for request in ({"action": "add", "prompts": [text]}, {"action": "pause", "id": text}):
        with pytest.raises(ControlError, match=said):
            parse_control(json.dumps(request).encode())


def load(folder, stream, prompt):
    file = folder / "cameras.toml"
    table = f'[streams.{json.dumps(stream)}]\nsource = "camera:0"\nprompts = [{json.dumps(prompt)}]\n'
    file.write_text(table.replace("\x7f", "\\u007f"), encoding="utf-8")
    return load_settings(file)


@pytest.mark.parametrize("text", ["Türöffner", "门口", "שער", "👩\u200d👧", "क्\u200cष", "a\u00a0b"])
def test_any_script_is_printable(text):
    assert check_printable(text) == printable(text) == text


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ValueError, match="UTF-8"):
        check_printable(b"caf\xe9".decode("utf-8", "surrogateescape"))


def test_errors_show_it_escaped_and_keep_their_lines(capsys):
    say("first \u202egpj.exe\x1b[2J\nsecond")
    assert capsys.readouterr().err == "first \\u202egpj.exe\\x1b[2J\nsecond\n"
    assert not re.search(UNPRINTABLE, printable("".join(BAD)))
