"""What an operator may set: one frozen object, read from the environment with the prefix `EXCHANGE_`.

Leaves:  every default for a secret - there is none outside demo mode. docs/settings.md lists each field.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The hub's settings. Units stand in the names; folders are created with mode 0700."""

    model_config = SettingsConfigDict(env_prefix="EXCHANGE_", frozen=True, extra="ignore")

    mode: Literal["production", "demo"] = Field(
        "production",
        description="`demo` allows a root key in a file and marks every answer of the hub as demo.",
    )
    data_folder: Path = Field(Path("var/hub"), description="Where the embedded database and demo keys live.")
    database_url: str | None = Field(
        None, description="PostgreSQL 15 or newer. Empty: the embedded PostgreSQL in the data folder."
    )
    root_provider: Literal["file", "pkcs11", "transit"] = Field(
        "file",
        description="Who keeps the root of the hub's keys (docs/keys.md). `file` is for demonstrations: a production hub "
        "refuses it.",
    )
    root_key_file: Path | None = Field(
        None,
        description="`file`: the root key, readable by its owner only. Empty: in the data folder, made there.",
    )
    root_key_name: str = Field(
        "chasqui-root",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="`pkcs11`, `transit`: what the root key is called there.",
    )
    pkcs11_module: Path | None = Field(
        None, description="`pkcs11`: the library of the token's maker, such as libsofthsm2.so."
    )
    pkcs11_token: str | None = Field(None, description="`pkcs11`: the label of the token.")
    pkcs11_pin_file: Path | None = Field(
        None, description="`pkcs11`: the file that holds the user PIN, readable by its owner only."
    )
    transit_url: str | None = Field(
        None,
        description="`transit`: https address of the Vault or OpenBao server, such as https://vault:8200.",
    )
    transit_mount: str = Field(
        "transit",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="`transit`: where the secrets engine is mounted.",
    )
    transit_token_file: Path | None = Field(
        None,
        description="`transit`: the file that holds the hub's token, readable by its owner only; read at each use.",
    )
    transit_namespace: str | None = Field(None, description="`transit`: the namespace, where there are any.")
    transit_ca_file: Path | None = Field(
        None, description="`transit`: certificates of who may vouch for the server. Empty: the system's."
    )

    host: str = Field("127.0.0.1", description="Address that the hub listens on.")
    port: int = Field(8780, ge=1, le=65535, description="Port that the hub listens on.")
    public_url: str | None = Field(None, description="Base URL that clients see; default http://HOST:PORT.")
    workers: int = Field(3, ge=1, le=64, description="Server processes: a few more than cores.")
    threads_per_worker: int = Field(1, ge=1, le=32, description="Requests that one process serves at a time.")

    statement_timeout_ms: int = Field(15_000, ge=100, description="Longest SQL statement.")
    lock_timeout_ms: int = Field(5_000, ge=100, description="Longest wait for a row or advisory lock.")
    idle_in_transaction_timeout_ms: int = Field(
        15_000, ge=100, description="Longest pause inside a transaction."
    )

    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Largest request body.")
    body_timeout_seconds: int = Field(120, ge=1, description="Longest wait for a request's body.")
    max_bundle_entries: int = Field(10_000, ge=1, description="Most entries of a batch or transaction.")
    max_json_depth: int = Field(64, ge=8, description="Deepest JSON nesting.")
    default_page_size: int = Field(50, ge=1, description="Matches on a page when `_count` is absent.")
    max_page_size: int = Field(
        1_000, ge=1, description="Most matches on a page; a larger `_count` is lowered."
    )
    max_scan_rows: int = Field(
        20_000, ge=100, description="Most rows that one search opens to compare in memory."
    )

    access_token_seconds: int = Field(300, ge=30, le=300, description="Lifetime of an access token.")
    assertion_seconds: int = Field(300, ge=30, le=300, description="Longest lifetime of a client assertion.")
    clock_skew_seconds: int = Field(10, ge=0, le=60, description="Tolerated difference between clocks.")
    client_cache_seconds: int = Field(
        5, ge=0, le=5, description="How long a suspended client may go unnoticed."
    )

    openid_issuer: str | None = Field(
        None,
        description="OpenID Connect provider at which people sign in. Empty: nobody can; in demo mode, the hub's own.",
    )
    openid_client_id: str = Field("chasqui", description="What the hub is called at the provider.")
    openid_client_secret_file: Path | None = Field(
        None, description="The hub's secret at the provider, readable by its owner only. Empty: PKCE alone."
    )

    dangerously_fetch_client_keys_from_this_machine: bool = Field(
        False,
        description="Demonstrations alone: fetch the keys of clients by http from loopback, and from nowhere else. "
        "Whoever registers a client then makes the hub ask services of its own machine.",
    )
    requests_per_minute: int = Field(
        60_000, ge=0, description="Requests of one client without a user a minute; 0: no limit."
    )
    user_requests_per_minute: int = Field(
        1_200, ge=0, description="Requests of one user a minute; 0: no limit."
    )
    token_requests_per_minute: int = Field(
        3_000, ge=0, description="Requests for a token from one address a minute; 0: no limit."
    )
    client_tokens_per_minute: int = Field(
        600, ge=0, description="Tokens of one client or user a minute; 0: no limit."
    )
    distinct_values_per_hour: int = Field(
        2_000,
        ge=0,
        description="Different identifiers and demographic values that one client without a user may search for "
        "an hour; 0: no limit.",
    )
    user_distinct_values_per_hour: int = Field(
        120,
        ge=0,
        description="Different identifiers and demographic values that one user may search for an hour; 0: no limit.",
    )
    refusals_per_minute: int = Field(
        120,
        ge=1,
        description="Refusals of callers that nobody knows, or that ask too often, that each process writes to the audit "
        "log one by one a minute; the rest are one event with their number.",
    )

    checkpoint_seconds: int = Field(
        10, ge=1, le=60, description="Longest time between two audit checkpoints."
    )
    audit_origin: str = Field("chasqui.hub/audit", description="Origin line of the audit log's checkpoints.")
    witnesses: str | None = Field(
        None,
        description="Outside witnesses of the audit log, to which `exchange work` hands each head: `URL KEY` each, "
        "between semicolons, or a file with one a line. By https, or http on this machine. Empty: nobody cosigns.",
    )
    policy_file: Path | None = Field(
        None, description="The regional policy, a TOML file. Empty: the one that comes with the program."
    )
    officer_notice_url: str | None = Field(
        None,
        description="Where `exchange work` posts the number of each emergency case for the privacy officers, by https. "
        "Empty: the list of cases alone tells of them.",
    )
    enrolments_per_minute: int = Field(
        12,
        ge=1,
        description="Tries of one address a minute to enrol by a one-time code; of all together, ten times as many.",
    )
    adapter_silence_minutes: int = Field(
        15,
        ge=2,
        le=1_440,
        description="How long an adapter that runs may say nothing before it counts as silent.",
    )
    adapter_rest_hours: int = Field(
        72,
        ge=1,
        le=1_000,
        description="How long an adapter that said that it stops may rest before it counts as silent.",
    )
    adapter_notice_url: str | None = Field(
        None,
        description="Where `exchange work` posts the client of each adapter that falls silent or is back, by https. "
        "Empty: the log, the metrics and the list of adapters alone tell of it.",
    )
    metrics_token_file: Path | None = Field(
        None,
        description="The bearer token for GET /metrics, of 32 characters or more, readable by its owner only. Empty: "
        "there is no such address.",
    )
    zone_name: str = Field("America/Lima", description="Zone of dates that carry none.")

    @model_validator(mode="after")
    def _dangers_stay_in_demonstrations(self) -> Self:
        if self.dangerously_fetch_client_keys_from_this_machine and self.mode != "demo":
            raise ValueError("keys of clients are fetched from this machine in a demonstration alone")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The zone of dates that carry none."""
        return ZoneInfo(self.zone_name)

    @property
    def base_url(self) -> str:
        """The hub's address as clients see it, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def fhir_url(self) -> str:
        """The FHIR base: what relative references are relative to."""
        return f"{self.base_url}/fhir"

    @property
    def has_own_provider(self) -> bool:
        """Whether the demonstration's own OpenID Connect provider is the one in use."""
        return self.mode == "demo" and not self.openid_issuer

    @property
    def openid_issuer_url(self) -> str:
        """The issuer at which people sign in; empty where nobody can."""
        return f"{self.base_url}/provider" if self.has_own_provider else (self.openid_issuer or "")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()  # type: ignore[call-arg,unused-ignore]
