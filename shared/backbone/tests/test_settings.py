import pytest
from backbone.settings import Settings, load

GOOD = {"DATABASE_URL": "postgresql://u:p@db/uca", "AMQP_URL": "amqp://u:p@mq/"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "postgresql://u:S3cret/rest@db/uca", "percent-encode / and #"),
        ("DATABASE_URL", "postgresql://u:5432/S3cret@db/uca", "percent-encode / and #"),
        ("DATABASE_URL", "postgresql://u:S3cret@db:port/uca", "a port is no number"),
        ("DATABASE_URL", "postgresql://u:S3cret@one:5432,two:99999/uca", "a port is no number"),
        ("DATABASE_URL", "postgresql://u:S3cret@db/uca?sslmode=bogus", "sslmode must be one of"),
        ("DATABASE_URL", "mysql://u:S3cret@db/uca", "must begin with postgresql://"),
        ("DATABASE_URL", "postgresql://u:S3cret?rest@db/uca", "percent-encode a ?"),
        ("AMQP_URL", "amqp://u:S3cret#rest@mq/", "percent-encode / and #"),
        ("AMQP_URL", "amqp://u:S3cret@mq:port/", "a port is no number"),
        ("AMQP_URL", "amqp://u:S3cret@mq:99999/", "a port is no number"),
        ("AMQP_URL", "amqp://", "names no host"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:port", "a port is no number"),
    ],
)
def test_a_wrong_setting_is_named(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process ends at once and says which setting and what is wrong with it, and never a part of a secret."""
    for each, text in {**GOOD, name: value}.items():
        monkeypatch.setenv(each, text)
    with pytest.raises(SystemExit, match="2"):
        load(Settings)
    said = capsys.readouterr().err
    assert said.startswith(f"setting {name}: ")
    assert words in said
    assert "S3cret" not in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%2Fq@one:5432,two,[::1]:5433/uca?sslmode=verify-full",
        "postgresql:///uca?host=/var/run/postgresql",
        "postgresql://db?user=u@home",
    ],
)
def test_what_postgresql_understands_is_taken(url: str) -> None:
    """Several hosts, a socket's folder, and what is percent-encoded."""
    assert Settings.model_validate({"database_url": url, "amqp_url": GOOD["AMQP_URL"]}).database_url
