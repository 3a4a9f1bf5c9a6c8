import os
import subprocess
import sys

from contracts.subscriptions import SUBSCRIPTIONS
from migrator.plan import Service, password_variables

PASSWORDS = dict.fromkeys(password_variables(map(Service, SUBSCRIPTIONS)), "made-up")
NOWHERE = {
    "DATABASE_URL": "postgresql://owner:hidden@127.0.0.1:1/uca",
    "RABBITMQ_API_URL": "http://a:hidden@127.0.0.1:1",
}


def migrate(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "migrator"]
    whole = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, env=whole, capture_output=True, text=True, check=False)


def test_a_missing_setting_ends_with_2_and_its_name() -> None:
    """Without an environment, every variable that is needed is named."""
    ended = migrate({})
    assert ended.returncode == 2
    assert "setting DATABASE_URL: missing" in ended.stderr
    assert "setting USER_SYNCER_AMQP_PASSWORD: missing" in ended.stderr


def test_a_database_that_is_away_ends_with_1_and_advice() -> None:
    """Nothing at the address: the log says what DATABASE_URL must be, and no password."""
    ended = migrate(NOWHERE | PASSWORDS)
    assert ended.returncode == 1
    assert "database.refused" in ended.stdout
    assert "DATABASE_URL must be" in ended.stdout
    assert "hidden" not in ended.stdout + ended.stderr
