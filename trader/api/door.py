"""The door: who is let in to do what, and what is said to those who are not."""

import ipaddress
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from trader.api.tokens import Caller, Rate, Sessions, Throttle, Vault

COOKIE = "trader_session"
PROOF = "x-trader"  # a header that a form of another site cannot send
SAFE = frozenset({"GET", "HEAD"})

bearer = HTTPBearer(auto_error=False, description="a token of `api.tokens`, or the one printed at the start")
cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, description="a session of the dashboard; what changes something needs X-Trader too"
)


class Problem(BaseModel):
    """What is wrong, and what helps."""

    error: str = Field(description="what is wrong")
    remedy: str = Field("", description="what helps")
    outcome: str = Field("", description="of a message: how it ended at the door (docs/messages.md)")


class Refusal(Exception):  # noqa: N818 - it carries an answer
    """The request ends here."""

    def __init__(self, status: int, error: str, remedy: str = "", *, outcome: str = "", wait: float = 0.0) -> None:
        super().__init__(error)
        self.status, self.problem = status, Problem(error=error, remedy=remedy, outcome=outcome)
        self.headers = {"Retry-After": str(math.ceil(wait))} if wait else {}
        if status == 401:
            self.headers["WWW-Authenticate"] = 'Bearer realm="trader"'


async def refuse(_request: Request, refusal: Exception) -> JSONResponse:
    """The answer of a refusal."""
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.problem.model_dump(), refusal.status, refusal.headers)


@dataclass(frozen=True, slots=True)
class Door:
    """Tokens, sessions and what slows people down."""

    vault: Vault
    sessions: Sessions
    throttle: Throttle
    requests: Rate
    commands: Rate
    proxies: Sequence[str] = ()

    def address(self, request: Request) -> str:
        """Where a request comes from; a proxy of ours says for whom it asks."""
        found = "" if request.client is None else request.client.host
        for told in reversed(request.headers.get("x-forwarded-for", "").split(",")):
            if not within(found, self.proxies):
                break
            found = told.strip()[:100] or found
        return found

    def shown(self, address: str, token: str) -> Caller:
        """Who shows this token; raises Refusal, and slower the more often it was wrong."""
        wait = self.throttle.wait(address)
        if wait:
            raise Refusal(429, "too many wrong tokens from this address", f"wait {math.ceil(wait)} s", wait=wait)
        caller = self.vault.find(token)
        if caller is None:
            self.throttle.failed(address)
            raise Refusal(401, "the token is wrong or expired", "show a token of api.tokens: Authorization: Bearer ...")
        return caller

    def enter(self, request: Request, token: str | None, session: str | None, scope: str) -> Caller:
        """Who asks, if they may; raises Refusal."""
        if token is not None:
            caller = self.shown(self.address(request), token)
        else:
            found = None if session is None else self.sessions.find(session, self.vault)
            if found is None:
                raise Refusal(
                    401, "a token is needed", "send it as Authorization: Bearer ..., or log in at the dashboard"
                )
            caller = found
            if request.method not in SAFE:
                _from_our_page(request)
        if scope not in caller.scopes:
            raise Refusal(403, f"{caller.name} may not do this", f"it needs the scope {scope!r}; see api.tokens")
        rate = self.requests if request.method in SAFE else self.commands
        if not rate.take(caller.name):
            raise Refusal(429, "too many requests", "slow down; api.requests and api.commands are the limits", wait=1.0)
        return caller


def _from_our_page(request: Request) -> None:
    """A session's cookie comes along from anywhere: what changes something must show that our page sent it."""
    origin = request.headers.get("origin")
    if request.headers.get(PROOF) != "1" or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise Refusal(403, "this did not come from the dashboard", "send a token instead: Authorization: Bearer ...")


def within(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is in one of the networks."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(one) for one in networks)


def needs(scope: str) -> Callable[..., Awaitable[Caller]]:
    """The dependency of a route that asks for a scope. A coroutine, as all dependencies here: others are each called in a thread of a pool."""

    async def entered(
        request: Request,
        shown: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
        session: Annotated[str | None, Depends(cookie)],
    ) -> Caller:
        door: Door = request.app.state.door
        return door.enter(request, None if shown is None else shown.credentials, session, scope)

    return entered


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside its result, for the OpenAPI document."""
    return {
        status: {
            "description": TEXTS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in (*statuses, 414, 421)
    }


TEXTS = {
    400: "the body is no JSON", 401: "no token, or a wrong or expired one", 403: "the token's scopes do not allow it",
    404: "there is no such thing", 409: "not now", 413: "the body is too large", 414: "the address is too long",
    421: "it is not reached under this name", 422: "a value is wrong", 428: "a typed confirmation is needed",
    429: "too many requests", 503: "the bot does not answer, or its journal cannot be read",
}  # fmt: skip
GUARDED = (401, 403, 429)
