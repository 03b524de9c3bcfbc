"""What a process with `configure_logs` writes to stderr, seen from outside; and what a stderr in trouble does to it."""

import json
import os
import re
import select
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maskcast.printable import UNPRINTABLE
from tests import processes
from tests.paths import ROOT
from tests.patience import patient

START = """
import logging, sys, time
import streaming.logs as logs
import streaming.repeats as repeats
from streaming.logs import configure_logs
log = logging.getLogger("streaming.test")
class Clock:
    now = 0.0
    def monotonic(self):
        return self.now
"""


def run(program, *, stderr=subprocess.PIPE, style="json", level="info"):
    configured = f"configure_logs({level!r}, {style!r})\n"
    return subprocess.run(
        [sys.executable, "-c", START + configured + program],
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=ROOT,
        timeout=patient(60),
        check=True,
    )


def lines(program, **options):
    return run(program, **options).stderr.decode().splitlines()


def records(program, **options):
    return [json.loads(line) for line in lines(program, **options)]


def test_a_json_line_holds_time_level_logger_message_and_stream():
    (record,) = records("log.warning('lost %s', 'it', extra={'stream': 'door', 'other': 1})")
    moment = datetime.fromisoformat(record.pop("timestamp"))
    assert moment.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert record == {"level": "WARNING", "logger": "streaming.test", "message": "lost it", "stream": "door"}


def test_a_json_line_holds_where_an_error_is():
    (record,) = records("log.error('out.mp4: %s', 'cannot write', extra={'where': 'out.mp4'})")
    assert (record["where"], record["message"]) == ("out.mp4", "out.mp4: cannot write")


def test_a_text_line_reads_time_level_logger_message():
    (line,) = lines("log.info('lost %s', 'it', extra={'stream': 'door'})", style="text")
    time, rest = line.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo
    assert rest == "INFO streaming.test: [door] lost it"


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_record_is_one_line_whatever_it_says(style):
    program = r"""
log.info("a\nb\r\x1b[31mred\u2028c\x85d\x7f\u202ee")
try:
    raise ValueError("first\nsecond")
except ValueError:
    log.exception("failed")
"""
    shown = lines(program, style=style)
    assert len(shown) == 2
    assert not any(re.search(UNPRINTABLE, line) for line in shown)
    if style == "json":
        assert json.loads(shown[0])["message"] == "a\nb\r\x1b[31mred\u2028c\x85d\x7f\u202ee"
        record = json.loads(shown[1])
        assert record["message"] == "failed"
        assert record["exception"].endswith("ValueError: first\nsecond")
    else:
        assert r"a\nb\r\x1b[31mred\u2028c\x85d\x7f\u202ee" in shown[0]
        assert shown[1].endswith(r"ValueError: first\nsecond")


@pytest.mark.parametrize("style", ["text", "json"])
def test_credentials_are_nowhere(style):
    program = """
url = "rtsp://admin:secret@camera/1?password=secret"
log.info("opening %s", url, extra={"stream": url})
logging.getLogger("other").error(url, stack_info=True)
try:
    raise OSError(f"cannot open {url}")
except OSError:
    log.exception("%s failed", url)
import threading, warnings
warnings.warn(f"deprecated: {url}")
thread = threading.Thread(target=open, args=(url,)); thread.start(); thread.join()
log.info("x" * 3990 + url + "y" * 8000)
log.info("%d", url)
"""
    shown = lines(program, style=style)
    assert len(shown) == 7
    assert "secret" not in "".join(shown).replace('url = "', "")
    assert (
        sum(
            "://camera" in line and "camera/" not in line.replace('url = "rtsp://admin:secret@camera/', "")
            for line in shown
        )
        >= 5
    )


def test_arguments_that_do_not_fit_are_shown_beside_the_message():
    (record,) = records("log.info('%d frames', 'many')")
    assert record["message"] == "%d frames ('many',)"


def test_a_record_that_cannot_be_shown_is_named():
    program = """
class Hostile:
    def __str__(self): raise ValueError("no")
    __repr__ = __str__
log.info("%s", Hostile())
"""
    (record,) = records(program)
    assert record["message"] == "a record of streaming.test cannot be shown: ValueError"


def test_the_level_is_for_our_loggers_and_others_start_at_warning():
    program = """
for name in ("streaming.a", "sinks.a", "sources.a", "trackers.a", "libav.a", "aiomqtt", "urllib3", "transformers"):
    for level in (logging.DEBUG, logging.WARNING):
        logging.getLogger(name).log(level, "%s", name)
"""
    shown = [(record["logger"], record["level"]) for record in records(program, level="debug")]
    ours = ["streaming.a", "sinks.a", "sources.a", "trackers.a"]
    others = ["libav.a", "aiomqtt", "urllib3", "transformers"]
    assert [name for name, level in shown if level == "DEBUG"] == ours
    assert [name for name, level in shown if level == "WARNING"] == ours + others
    assert records(program, level="error") == []


def test_a_library_that_brought_its_own_handler_loses_it():
    program = """
library = logging.getLogger("library")
library.addHandler(logging.StreamHandler()); library.propagate = False
configure_logs("info", "json"); configure_logs("info", "json")
library.warning("rtsp://a:b@c/")
"""
    assert [record["message"] for record in records(program)] == ["rtsp://c"]


def test_a_repeated_message_is_summed_up():
    program = """
repeats.time = clock = Clock()
for number in range(500):
    log.warning("frame %d is broken", number, extra={"stream": "door"})
    log.warning("frame %d is broken", number, extra={"stream": "yard"}) if number < 3 else None
clock.now = repeats.PERIOD_SECONDS + 0.1
log.info("later")
"""
    shown = records(program)
    door = [record["message"] for record in shown if record.get("stream") == "door"]
    assert door[:10] == [f"frame {number} is broken" for number in range(10)]
    assert door[10:] == ["frame 10 is broken … repeated 490 times"]
    assert len([record for record in shown if record.get("stream") == "yard"]) == 3
    assert shown[-1]["message"] == "later"
    assert shown[-2]["level"] == "WARNING"


def test_after_its_minute_a_message_is_shown_again():
    program = """
repeats.time = clock = Clock()
for number in range(2):
    for _ in range(15):
        log.warning("broken %d", number)
    clock.now += repeats.PERIOD_SECONDS + 0.1
"""
    messages = [record["message"] for record in records(program)]
    for number in range(2):
        assert messages.count(f"broken {number}") == 10
        assert messages.count(f"broken {number} … repeated 5 times") == 1


def test_what_is_held_back_is_said_at_the_end():
    assert records("for _ in range(30): log.info('100 %')")[-1]["message"] == "100 % … repeated 20 times"


def test_counting_repeats_takes_bounded_memory_and_keeps_no_picture_alive():
    program = """
import gc, weakref
class Picture: pass
def fail(number):
    picture = Picture(); alive.add(picture)
    try:
        raise ValueError(number)
    except ValueError:
        log.exception("failed with %s", picture)
alive = weakref.WeakSet()
for number in range(40):
    fail(number)
gc.collect()
assert not alive, len(alive)
for number in range(3 * repeats.MAX_TEMPLATES):
    log.debug(f"frame {number}"); log.info(f"frame {number}")
handler, = [one for one in logging.getLogger().handlers if isinstance(one, logs._StderrHandler)]
print(len(handler._repeats._counts))
"""
    assert int(run(program).stdout) == 500


def test_a_huge_message_is_cut_and_ends_with_its_last_lines():
    (record,) = records(r"log.info('begin ' + 'x' * 10_000_000 + '\nthe end')")
    assert len(record["message"]) < 9000
    assert record["message"].startswith("begin xxx")
    assert record["message"].endswith("\nthe end")


ENOUGH = """
begun = time.monotonic()
for number in range(3000):
    log.warning(f"line {number} " + "x" * 200)
print(time.monotonic() - begun)
"""


def test_a_full_disk_raises_nothing():
    with Path("/dev/full").open("wb", buffering=0) as full:
        assert run(ENOUGH, stderr=full).returncode == 0


def test_a_closed_stderr_raises_nothing():
    command = 'exec 2>&-; exec "$0" -c "$1"'
    program = START + "configure_logs('info', 'text')\n" + ENOUGH
    subprocess.run(["sh", "-c", command, sys.executable, program], cwd=ROOT, check=True, stdout=subprocess.PIPE)


def test_a_reader_that_is_gone_raises_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run(ENOUGH, stderr=writing).returncode == 0
    finally:
        os.close(writing)


def test_a_reader_that_stopped_reading_blocks_nobody_and_is_told_what_it_missed():
    program = (
        ENOUGH
        + "sys.stdout.flush(); sys.stdin.read(1)\nlogging.getLogger().handlers[0].flush()\nlog.warning('back again')\n"
    )
    command = [sys.executable, "-c", START + "configure_logs('info', 'json')\n" + program]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with processes.running(command, cwd=ROOT, **pipes) as process:
        assert float(process.stdout.readline()) < patient(20)  # it came to an end although nobody read
        taken = b""
        while select.select([process.stderr], [], [], 0)[0]:  # now somebody reads, and empties the pipe
            taken += os.read(process.stderr.fileno(), 65536)
        _, rest = process.communicate(b"x", timeout=patient(60))
    *kept, lost, last = [json.loads(line)["message"] for line in (taken + rest).decode().splitlines()]
    assert last == "back again"
    told = [re.fullmatch(r"(\d+) lines were lost: stderr did not take them", message) for message in (*kept, lost)]
    assert told[-1]
    number = sum(int(found[1]) for found in told if found)
    assert 0 < number < 3000
    assert number + sum(message.startswith("line ") for message in kept) == 3000


def test_what_a_person_is_told_comes_after_what_was_logged_before():
    program = (
        "from streaming.cli.terminal import say\nfor number in range(500): log.info(f'line {number}')\nsay('the end')"
    )
    shown = lines(program, style="text")
    assert (len(shown), shown[-1]) == (501, "the end")


def test_a_reader_that_never_reads_again_does_not_hold_the_end():
    program = ENOUGH + "from streaming.process import leave\nleave(3)\n"
    command = [sys.executable, "-c", START + "configure_logs('info', 'json')\n" + program]
    with processes.running(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.wait(patient(60)) == 3


def test_without_a_log_stray_lines_hold_no_credentials_either():
    program = r"""
import logging, threading
from streaming.logs import redact_stray_lines
redact_stray_lines()
url = "rtsp://admin:s3" + "cret@camera/s3" + "cret?sid=s3" + "cret"
logging.getLogger("asyncio").error("never retrieved: %s \x1b", url)
def die(): raise OSError(f"cannot open '{url}'")
thread = threading.Thread(target=die, name="receive"); thread.start(); thread.join()
class Handle:
    def __del__(self): die()
Handle()
logging.getLogger("x").info("not shown")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=patient(60)
    )
    assert "s3cret" not in done.stderr
    assert r"never retrieved: rtsp://camera \x1b" in done.stderr
    assert "thread receive died" in done.stderr
    assert done.stderr.count("OSError: cannot open 'rtsp://camera'") == 2
    assert "not shown" not in done.stderr
