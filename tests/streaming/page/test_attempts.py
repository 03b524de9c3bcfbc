"""How often a password may be tried."""

import pytest

from streaming.page.attempts import (
    ADDRESS_ATTEMPTS,
    ADDRESS_SECONDS,
    ALL_ATTEMPTS,
    ALL_SECONDS,
    MAX_ADDRESSES,
    Attempts,
)


def test_an_address_waits_after_a_few_and_only_that_one():
    attempts = Attempts(0.0)
    assert [attempts.take("10.0.0.1", 0.0) for _ in range(ADDRESS_ATTEMPTS)] == [0.0] * ADDRESS_ATTEMPTS
    assert attempts.take("10.0.0.1", 0.0) == ADDRESS_SECONDS
    assert attempts.take("10.0.0.1", ADDRESS_SECONDS / 2) == ADDRESS_SECONDS / 2  # asking does not lengthen it
    assert attempts.take("10.0.0.2", 0.0) == 0.0
    assert attempts.take("10.0.0.1", ADDRESS_SECONDS) == 0.0
    assert attempts.take("10.0.0.1", ADDRESS_SECONDS) > 0.0


def test_many_addresses_together_are_bounded_and_so_is_what_is_kept_of_them():
    attempts = Attempts(0.0)
    waits = [attempts.take(f"10.0.{number >> 8}.{number & 255}", 0.0) for number in range(2 * MAX_ADDRESSES)]
    assert waits.count(0.0) == ALL_ATTEMPTS
    assert waits[-1] == ALL_SECONDS
    assert len(attempts._addresses) == MAX_ADDRESSES
    assert attempts.take("10.9.9.9", ALL_SECONDS) == 0.0


def test_who_knows_the_password_does_not_wait():
    attempts = Attempts(0.0)
    for _ in range(3 * ALL_ATTEMPTS):
        assert attempts.take("10.0.0.1", 0.0) == 0.0
        attempts.forgive("10.0.0.1")


def test_others_do_not_lock_out_where_the_password_was_given():
    attempts = Attempts(0.0)
    attempts.take("10.0.0.1", 0.0)
    attempts.forgive("10.0.0.1")
    others = [attempts.take(f"10.1.{number >> 8}.{number & 255}", 0.0) for number in range(2 * MAX_ADDRESSES)]
    assert others.count(0.0) == ALL_ATTEMPTS
    assert [attempts.take("10.0.0.1", 0.0) for _ in range(ADDRESS_ATTEMPTS)] == [0.0] * ADDRESS_ATTEMPTS
    assert attempts.take("10.0.0.1", 0.0) == ADDRESS_SECONDS
    for number in range(2 * MAX_ADDRESSES):
        attempts.forgive(f"10.2.{number >> 8}.{number & 255}")
    assert len(attempts._known) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "", True),
    ],
)
def test_an_ipv6_network_is_one_address(one, other, same):
    attempts = Attempts(0.0)
    for _ in range(ADDRESS_ATTEMPTS):
        attempts.take(one, 0.0)
    assert (attempts.take(other, 0.0) > 0.0) is same
