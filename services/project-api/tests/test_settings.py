from pathlib import Path

import pytest
from project_api.settings import Settings
from pydantic import ValidationError

GOOD = {
    "database_url": "postgresql://db",
    "tenant_database_url": "postgresql://db",
    "amqp_url": "amqp://mq",
    "jwks_url": "https://identity.example.com/keys",
    "push_secret": "0123456789abcdef",
    "cloud_regions_file": "regions.json",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tenant_database_url", "postgresql://u:p@db:port/uca"),
        ("jwks_url", "https://identity.example.com:port/keys"),
        ("forwarded_allow_ips", "nonsense"),
        ("forwarded_allow_ips", "10.0.0.0/99"),
        ("forwarded_allow_ips", "10.0.0.1,*"),
        ("push_app_origins", "portal.example.com"),
        ("push_app_origins", "*"),
        ("cookie_domain", "https://x"),
        *(("run_deadline_seconds", value) for value in ("inf", "nan", "1e13")),
        *((name, "1e13") for name in ("sweep_seconds", "idempotency_hours", "push_idle_seconds", "tenant_rate")),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    """At the start, rather than by requests or tasks that fail for good."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**GOOD, name: value})
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


@pytest.mark.parametrize("value", ["", "*", "10.0.0.0/8, 192.168.1.1,fd00::/8"])
def test_proxies_are_all_none_or_listed(value: str) -> None:
    """As the listener understands them."""
    assert Settings.model_validate({**GOOD, "forwarded_allow_ips": value}).forwarded_allow_ips == value


def test_tls_files_are_read_at_the_start(tmp_path: Path) -> None:
    """What is no PEM is refused, with the names of both settings."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(ValidationError, match="API_TLS_CERT_FILE and API_TLS_KEY_FILE must be a chain and its key"):
        Settings.model_validate({**GOOD, "api_tls_cert_file": wrong, "api_tls_key_file": wrong})
