"""How often a password may be tried: by one address, and by all."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

# By one address at once, and seconds until one more; a person who mistypes waits once, a machine needs centuries.
ADDRESS_ATTEMPTS, ADDRESS_SECONDS = 5, 15.0
# By all: what 20 at once cost is some seconds of one processor.
ALL_ATTEMPTS, ALL_SECONDS = 20, 3.0
# Of which something is remembered; the oldest are forgotten.
MAX_ADDRESSES = 1024


@dataclass
class _Bucket:
    """A token bucket: what is left, and when that was counted."""

    most: float
    seconds: float
    left: float
    at: float

    def wait(self, now: float) -> float:
        """Seconds until an attempt is left."""
        self.left = min(self.most, self.left + (now - self.at) / self.seconds)
        self.at = now
        return max(0.0, (1.0 - self.left) * self.seconds)


class Attempts:
    """Attempts of all addresses, where those of one IPv6 network are one address.

    Who has given the password from an address before has only the bound for that address: others, who use up what all
    have together, cannot lock them out.
    """

    def __init__(self, now: float) -> None:
        self._all = _Bucket(ALL_ATTEMPTS, ALL_SECONDS, ALL_ATTEMPTS, now)
        self._addresses: OrderedDict[str, _Bucket] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """Use one up.

        Args:
            address: the client's.
            now: seconds on a clock that only goes on.

        Returns:
            0 if there was one, else the seconds until there is.
        """
        key = _network(address)
        bucket = self._addresses.pop(key, None) or _Bucket(ADDRESS_ATTEMPTS, ADDRESS_SECONDS, ADDRESS_ATTEMPTS, now)
        self._addresses[key] = bucket
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        buckets = [bucket] if key in self._known else [bucket, self._all]
        wait = max(one.wait(now) for one in buckets)
        if wait == 0.0:
            for one in buckets:
                one.left -= 1.0
        return wait

    def forgive(self, address: str) -> None:
        """The attempt was right."""
        key = _network(address)
        self._addresses.pop(key, None)
        if key not in self._known:
            self._all.left = min(self._all.most, self._all.left + 1.0)
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > MAX_ADDRESSES:
            self._known.popitem(last=False)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), 64), strict=False))
