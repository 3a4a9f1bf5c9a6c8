import pytest
from migrator import settings
from migrator.plan import Service

SERVICES = [Service("user-syncer")]
COMPLETE = {
    "DATABASE_URL": "postgresql://owner:secret@localhost/uca",
    "RABBITMQ_API_URL": "http://admin:secret@localhost:15672/",
    "USER_SYNCER_DATABASE_PASSWORD": "one",
    "USER_SYNCER_AMQP_PASSWORD": "two",
}


def test_a_complete_environment_is_taken() -> None:
    """What is left out has a default: the virtual host `/` and unscaled retry delays."""
    loaded = settings.load(COMPLETE, SERVICES)
    assert loaded.rabbitmq_api_url == "http://admin:secret@localhost:15672"
    assert (loaded.virtual_host, loaded.retry_scale) == ("/", 1.0)
    assert loaded.passwords == {"USER_SYNCER_DATABASE_PASSWORD": "one", "USER_SYNCER_AMQP_PASSWORD": "two"}


def test_all_that_is_wrong_is_named_at_once() -> None:
    """One message names every variable that is missing or wrong."""
    wrong = {"DATABASE_URL": "mysql://x", "RETRY_SCALE": "fast"}
    with pytest.raises(settings.SettingsError) as caught:
        settings.load(wrong, SERVICES)
    named = {line.split(":")[0] for line in str(caught.value).splitlines()}
    assert named == {
        f"setting {name}"
        for name in ("DATABASE_URL", "RABBITMQ_API_URL", "USER_SYNCER_DATABASE_PASSWORD", "USER_SYNCER_AMQP_PASSWORD")
    } | {"setting RETRY_SCALE"}


def test_secrets_stay_out_of_the_representation() -> None:
    """Settings that end up in a log or a traceback tell no password."""
    assert "secret" not in repr(settings.load(COMPLETE, SERVICES))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "postgresql://owner:S3cret/rest@db/uca", "percent-encode"),
        ("RABBITMQ_API_URL", "http://admin:S3cret@mq:port", "a port is no number"),
        ("RETRY_SCALE", "0", "above 0, at most 1"),
        ("RETRY_SCALE", "-1", "above 0, at most 1"),
        ("RETRY_SCALE", "2", "above 0, at most 1"),
        ("RETRY_SCALE", "nan", "above 0, at most 1"),
        ("RETRY_SCALE", "inf", "above 0, at most 1"),
        ("USER_SYNCER_DATABASE_PASSWORD", "S3crét", "ASCII"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, words: str) -> None:
    """With what is wrong with it, and never a part of a secret."""
    with pytest.raises(settings.SettingsError, match=f"^setting {name}: .*{words}") as caught:
        settings.load({**COMPLETE, name: value}, SERVICES)
    assert "S3cr" not in str(caught.value)
