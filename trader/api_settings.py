"""The `api:` section of a run: where the control API and its dashboard listen, and who may ask what of it."""

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from trader import setting_values as read
from trader.setting_types import Count, Duration, File, Instant, Part, Port

SCOPES = ("read", "signal", "control", "config")


def scopes(value: object) -> object:
    """A list of scopes, each at most once."""
    found = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    wrong = [one for one in found if one not in SCOPES]
    if not found or wrong or len(set(found)) < len(found):
        hint = read.near(str(wrong[0]), SCOPES) if wrong else ""
        raise ValueError(f"{hint}allowed is a list of {', '.join(SCOPES)}, each once")
    return tuple(found)


def networks(value: object) -> object:
    """Addresses and networks, such as 52.89.214.238 or 10.0.0.0/8."""
    found = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    try:
        return tuple(str(ipaddress.ip_network(one)) for one in found)
    except ValueError as error:
        raise ValueError(f"{error}; allowed are addresses and networks, such as 52.89.214.238 or 10.0.0.0/8") from error


_LIST = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})
_SCOPES = WithJsonSchema({"type": "array", "items": {"enum": list(SCOPES)}, "minItems": 1, "uniqueItems": True})
Scopes = Annotated[tuple[str, ...], BeforeValidator(scopes), _SCOPES]
Networks = Annotated[tuple[str, ...], BeforeValidator(networks), _LIST]
Hosts = Annotated[tuple[str, ...], BeforeValidator(read.names_of("names", "[bot.example.org]")), _LIST]


class TokenChoice(Part):
    """Who may ask: what a token allows, and where it is."""

    scopes: Scopes = Field(
        description="read: look; signal: send signals; control: halt, resume, flatten ...; config: jobs and configuration"
    )
    file: File = Field(description="a file with the token and nothing else: at least 24 characters")
    expires: Instant | None = Field(None, description="from when on it is refused")


class HookChoice(Part):
    """A webhook: a place where a service that knows no headers may post signals."""

    secret_file: File = Field(description="a file with the secret: of the HMAC, or as it stands in the body")
    proof: Annotated[Literal["hmac", "body"], BeforeValidator(read.one_of("hmac", "body"))] = Field(
        "hmac",
        description="hmac: header X-Signature = hex HMAC-SHA256 of `X-Timestamp.body`; body: a key `secret` in the body",
    )
    format: Annotated[str, BeforeValidator(read.word("a format, such as tradingview"))] | None = Field(
        None, description="the only format that is taken; none = whatever is recognised (docs/webhooks.md)"
    )
    addresses: Networks = Field((), description="only from these addresses and networks; none = from anywhere")
    window: Duration = Field("5m", description="how old or new a timestamp may be")


class ApiChoice(Part):
    """The control API. On loopback without tokens it makes one for the time it runs, and prints it."""

    host: Annotated[str, BeforeValidator(read.word("an address"))] = Field("127.0.0.1", description="where it listens")
    port: Port = Field(8484, description="at which port")
    tokens: dict[str, TokenChoice] = Field(default_factory=dict, description="by name: who may ask what")
    hooks: dict[str, HookChoice] = Field(default_factory=dict, description="by name: webhooks at /v1/hooks/NAME")
    names: Hosts = Field((), description="names under which it is reached, beside localhost; others are refused")
    proxies: Networks = Field(
        (), description="reverse proxies of ours, whose X-Forwarded-For says for whom they ask; others' is ignored"
    )
    certificate: File | None = Field(None, description="TLS: the certificate chain; needed to listen beyond loopback")
    certificate_key: File | None = Field(None, description="TLS: its key")
    requests: Count = Field(2_000, description="requests per second and token")
    commands: Count = Field(5, description="commands per second and token")

    @property
    def is_public(self) -> bool:
        """Whether it listens beyond this machine."""
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host != "localhost"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate: and certificate_key: belong together; give both or neither")
        if self.is_public and (self.certificate is None or not self.tokens):
            raise ValueError(
                f"host = {self.host!r} is beyond this machine: give certificate:, certificate_key: and tokens:, or listen on 127.0.0.1"
                " and let a reverse proxy with TLS stand before it (docs/api.md)"
            )
        return self
