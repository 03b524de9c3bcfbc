"""Why the hub gives no files to this user here, and what the user can do about it.

What the hub answers for gated repositories: https://huggingface.co/docs/hub/models-gated; its error codes are those
that `huggingface_hub.utils.hf_raise_for_status` reads.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from maskcast.errors import ModelError, reason_of
from trackers.hub.name import ModelName
from trackers.hub.token import login, token_source, why_no_token

# What an answer is read as that is none of the hub's: no JSON, or other JSON.
_FOREIGN = frozenset(
    {"NotTheHubError", "JSONDecodeError", "UnicodeDecodeError", "TypeError", "KeyError", "AttributeError"}
)
_PORTAL = "log in to this network in a browser if it asks for that, and look at HF_ENDPOINT and HTTPS_PROXY"


class NotTheHubError(Exception):
    """What answers is not the hub."""


def refused(error: BaseException, name: ModelName) -> ModelError:
    """What to tell the user when a request to the hub failed.

    Args:
        error: whatever the hub's client raised.
        name: what was asked for.

    Returns:
        An error whose advice fits the case. Nothing of a token is in it.
    """
    response = getattr(error, "response", None)
    what, advice = _unanswered(error, name) if response is None else _answered(error, response, name)
    return ModelError(what, where=f"model {name}", advice=advice)


def hub_host() -> str:
    """Host and port of the hub that is asked."""
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2] or constants.ENDPOINT


def _answered(error: BaseException, response: Any, name: ModelName) -> tuple[str, str | None]:
    """What an answer means that says no."""
    status, code = int(response.status_code), response.headers.get("X-Error-Code")
    said = str(getattr(error, "server_message", None) or response.headers.get("X-Error-Message") or "").lower()
    page = f"{hub_host()}/{name.id}"
    if status == 401:
        return _unauthorized(response, code, page)
    if status == 403:
        return _forbidden(code, said, page)
    if code == "RevisionNotFound":
        return f"it has no revision {name.ref}", f"its branches and tags are at {page}/commits"
    if status == 404:
        return "no such repository, or a private one", f"check the name at {page}; {login()} for a private one"
    if status == 407:
        return (
            "the proxy asks for a password",
            "put a user name and a password into HTTPS_PROXY, before its host and an @",
        )
    if status == 429:
        return f"{hub_host()} takes no more requests from here for now", "wait some minutes; with a token it takes more"
    if status == 511:
        return "this network asks for a login", "log in to it in a browser"
    if status >= 500:
        return f"{hub_host()} is out of order (answers {status})", f"try again later, or {_elsewhere(name)}"
    return f"{hub_host()} answers {status} ({reason_of(error)})", _PORTAL


def _unauthorized(response: Any, code: str | None, page: str) -> tuple[str, str]:
    tokens = f"{hub_host()}/settings/tokens"
    if response.request.headers.get("Authorization"):
        advice = f"make a new one at {tokens}, then {login()} or HF_TOKEN; without one, models that are not gated work"
        return f"the hub does not know the token of {_source()}: it is mistyped, revoked or has expired", advice
    why, advice = why_no_token()
    if code == "GatedRepo":
        advice = f"accept its terms at {page}, make a token at {tokens}; {advice}"
        return f"it is gated, and no token was sent ({why})", advice
    return f"no such repository, or a private one, and no token was sent ({why})", f"check the name at {page}; {advice}"


def _forbidden(code: str | None, said: str, page: str) -> tuple[str, str | None]:
    tokens = f"{hub_host()}/settings/tokens"
    if "fine-grained" in said:
        advice = f"edit it at {tokens}: allow it to read public gated repositories, or make one of type Read"
        return f"it is gated, and the token of {_source()} is fine-grained without access to gated repositories", advice
    if "awaiting" in said or "pending" in said:
        return "its owners have not answered your request for access yet", f"see {page}; it can take weeks"
    if "rejected" in said:
        return "its owners have refused your request for access", f"see {page}; with this account there is no other"
    if code == "GatedRepo":
        advice = f"ask for access at {page} with that account, or use a token of the account that has it"
        return f"it is gated, and the account of the token of {_source()} has no access", advice
    if "disabled" in said:
        return "the hub has disabled it", None
    advice = f"see {page}; a proxy or a token without the right to read can be the reason"
    return f"{hub_host()} forbids it", advice


def _unanswered(error: BaseException, name: ModelName) -> tuple[str, str]:
    """What it means that there is no answer, or none of the hub."""
    # By name, because the hub's client has changed its HTTP library before, and these are the library's.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    host = hub_host()
    if kinds & {"LocalProtocolError", "UnicodeEncodeError"}:  # whose text holds the token
        return f"the token of {_source()} has characters that none has", "make it anew, and mind quotes and blanks"
    if isinstance(error, OSError) and error.filename:  # of all files only the token's is read
        what = f"the token in {error.filename} cannot be read ({reason_of(error)})"
        return what, "set HF_TOKEN, or HF_HOME to a folder of this user"
    if "OfflineModeIsEnabled" in kinds:
        return "not in the cache, and HF_HUB_OFFLINE forbids to fetch it", _elsewhere(name)
    if "ProxyError" in kinds or (proxy_used() and kinds & {"ConnectError", "ConnectTimeout"}):
        what = f"the proxy {proxy_used()} does not lead to {host} ({reason_of(error)})"
        return what, "look at HTTPS_PROXY and NO_PROXY"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        advice = "if a proxy opens connections, set SSL_CERT_FILE to its certificate"
        return f"what answers at {host} has no certificate that is trusted", f"{_PORTAL}; {advice}"
    if kinds & {"ConnectTimeout", "ConnectError"}:
        return f"{host} cannot be reached ({reason_of(error)})", f"check the network, or {_elsewhere(name)}"
    if kinds & {"TimeoutException", "TimeoutError"}:
        return f"{host} takes connections and does not answer", f"try again later, or {_elsewhere(name)}"
    if kinds & _FOREIGN:
        return f"what answers at {host} is not the hub", _PORTAL
    return f"{host} cannot be asked ({reason_of(error)})", "look at HF_ENDPOINT and HTTPS_PROXY"


def proxy_used() -> str | None:
    """The proxy that the environment sets for the hub's scheme, without its password; None if there is none."""
    from urllib.request import getproxies, proxy_bypass

    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(parts.netloc):
        return None
    return urlsplit(proxy).netloc.rpartition("@")[2] or proxy


def _source() -> str:
    try:
        return token_source() or "the environment"
    except OSError:
        return "this user"


def _elsewhere(name: ModelName) -> str:
    revision = f" --revision {name.revision}" if name.revision else ""
    return (
        f"on a machine with network run `hf download {name.id}{revision} --local-dir FOLDER`, copy FOLDER here and "
        "give it in place of the name"
    )
