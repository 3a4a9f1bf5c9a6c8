"""`make kubernetes-secrets | kubectl apply -n uca -f -`: the secrets that the manifests refer to, from deploy/.env.

For a trial. In production they come from your vault, under the same names and keys; docs/operations.md lists them.
"""

import sys
from pathlib import Path

import yaml
from contracts.subscriptions import SUBSCRIPTIONS
from migrator import plan

NAMESPACE = "uca"
"""Hosts are named with it, because KEDA looks at the queues from a namespace of its own."""


def secrets(given: dict[str, str]) -> dict[str, dict[str, str]]:
    """Each secret's entries, by its name."""
    services = [plan.Service(name) for name in SUBSCRIPTIONS]
    made = {service.name: _service(service, given) for service in services}
    made["project-api"] |= {name: given[name] for name in ("JWT_SECRET", "PUSH_SECRET")}
    administrator = {"username": "uca_admin", "password": given["RABBITMQ_PASSWORD"]}
    configuration = "default_user = {username}\ndefault_pass = {password}\n".format(**administrator)
    return made | {
        "clouds": {name: given[name] for name in ("SEALING_KEYS", "SIMULATOR_PASSWORD")},
        "database-owner": {"username": "uca_owner", "password": given["POSTGRES_PASSWORD"]},
        "broker-administrator": administrator | {"default_user.conf": configuration},
        "migrator": {name: given[name] for name in plan.password_variables(services)}
        | {
            "DATABASE_URL": _database("uca_owner", given["POSTGRES_PASSWORD"]),
            "RABBITMQ_API_URL": f"http://uca_admin:{given['RABBITMQ_PASSWORD']}@broker.{NAMESPACE}:15672",
        },
    }


def _service(service: plan.Service, given: dict[str, str]) -> dict[str, str]:
    names = ("DATABASE_URL", "TENANT_DATABASE_URL")
    urls = [_database(role, given[plan.database_password(role)]) for role in service.roles]
    password = given[plan.amqp_password(service.name)]
    return dict(zip(names, urls, strict=False)) | {
        "AMQP_URL": f"amqp://{service.name}:{password}@broker.{NAMESPACE}/uca"
    }


def _database(role: str, password: str) -> str:
    return f"postgresql://{role}:{password}@database-rw.{NAMESPACE}/uca"


def main(path: Path) -> None:
    """Writes manifests to standard output."""
    given = dict(line.split("=", 1) for line in path.read_text().splitlines())
    head = {"apiVersion": "v1", "kind": "Secret"}
    documents = [head | {"metadata": {"name": name}, "stringData": entries} for name, entries in secrets(given).items()]
    yaml.safe_dump_all(documents, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / ".env")
