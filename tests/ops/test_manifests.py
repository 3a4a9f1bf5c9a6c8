"""The Kubernetes manifests as kustomize renders them; no cluster is started, so none has taken them."""

import importlib
import ipaddress
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from contracts.subscriptions import SUBSCRIPTIONS

OVERLAYS = "local", "production"
WITHOUT_SCHEMA = {
    "Cluster",
    "PodMonitor",
    "PrometheusRule",
    "RabbitmqCluster",
    "ScaledObject",
    "ScheduledBackup",
    "TriggerAuthentication",
}
"""Custom resources: their operators bring the schemas to the cluster, so here they are only rendered, not checked."""

Manifests = list[dict[str, Any]]


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest, kubectl: str, root: Path) -> Manifests:
    """What `kubectl apply -k` would send."""
    folder = root / "deploy/kubernetes/overlays" / request.param
    rendered = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(rendered.stdout))


def pods(manifests: Manifests) -> list[tuple[str, dict[str, Any]]]:
    """Each workload's name and pod."""
    workloads = [m for m in manifests if m["kind"] in ("Deployment", "Job")]
    return [(m["metadata"]["name"], m["spec"]["template"]["spec"]) for m in workloads]


def default(service: str, setting: str) -> Any:
    """What a service takes where its environment says nothing."""
    return importlib.import_module(f"{service.replace('-', '_')}.settings").Settings.model_fields[setting].default


def test_every_resource_is_what_kubernetes_1_32_takes(manifests: Manifests) -> None:
    """Checked strictly by Kubernetes' own schemas: an unknown field counts as wrong."""
    unchecked = set()
    for manifest in (each | {} for each in manifests):
        try:
            kubernetes_validate.validate(manifest, "1.32", strict=True)
        except kubernetes_validate.utils.SchemaNotFoundError:
            unchecked.add(manifest["kind"])
    assert unchecked <= WITHOUT_SCHEMA


def test_every_service_is_deployed_and_scales_alone(manifests: Manifests) -> None:
    """project-api by its CPU, the others by the length of their own queue and by age; none has a fixed number."""
    by_kind = {
        (m["kind"], m["metadata"]["name"]): m["spec"] for m in manifests if m["kind"] not in ("ConfigMap", "Service")
    }
    for service in SUBSCRIPTIONS:
        assert "replicas" not in by_kind["Deployment", service]
        assert ("PodDisruptionBudget", service) in by_kind
        if service == "project-api":
            assert by_kind["HorizontalPodAutoscaler", service]["scaleTargetRef"]["name"] == service
            continue
        queue, age = by_kind["ScaledObject", service]["triggers"]
        assert queue["metadata"]["queueName"] == f"{service}.work"
        assert age["type"] == "prometheus"


def test_every_container_is_held_to_the_least(manifests: Manifests) -> None:
    """No root, no writes, no capabilities, no token of the cluster's; with memory bounded and a version chosen."""
    for name, pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            expected = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["securityContext"] == expected, name
            assert container["resources"]["limits"]["memory"], name
            assert ":" in container["image"].rpartition("/")[2], name


def test_services_are_probed_and_have_time_to_drain(manifests: Manifests) -> None:
    """Ready means that broker, database and migrations are there; a pod is forgotten, drained and closed, then killed.

    project-api drains twice, its listener first. Closing takes a broker that is away 3 s, and traces their last ones.
    """
    for name, pod in pods(manifests):
        if name in SUBSCRIPTIONS:
            (container,) = pod["containers"]
            assert container["livenessProbe"]["httpGet"]["path"] == "/healthz", name
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", name
            forgotten = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert forgotten >= 5, name
            drains = default(name, "drain_seconds") * (2 if name == "project-api" else 1)
            assert pod["terminationGracePeriodSeconds"] >= forgotten + drains + 10, name


def test_the_database_has_connections_for_all_that_may_be_made(manifests: Manifests) -> None:
    """At autoscaling's maxima, with one more of each service during a release, and 20 for the operator and people."""
    most = {
        m["spec"]["scaleTargetRef"]["name"]: m["spec"].get("maxReplicas") or m["spec"]["maxReplicaCount"]
        for m in manifests
        if m["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    }
    assert most.keys() == SUBSCRIPTIONS.keys()
    for name, pod in pods(manifests):
        names = [each["name"] for container in pod["containers"] for each in container.get("env", [])]
        assert "POOL_SIZE" not in names, f"{name}: count with it here, and in docs/runbooks/capacity.md"
    each = {name: default(name, "pool_size") + 1 for name in SUBSCRIPTIONS}  # the one is the outbox's sweep
    each["project-api"] += default("project-api", "pool_size") + 1  # tenants' role, and the directory
    wanted = sum((replicas + 1) * each[name] for name, replicas in most.items()) + 20
    (database,) = (m for m in manifests if m["apiVersion"].startswith("postgresql.cnpg.io") and m["kind"] == "Cluster")
    assert int(database["spec"]["postgresql"]["parameters"]["max_connections"]) >= wanted


def test_one_node_or_zone_that_is_lost_takes_no_whole_service(manifests: Manifests) -> None:
    """Replicas of each service are spread by themselves, over zones and over nodes."""
    for name, pod in pods(manifests):
        if name in SUBSCRIPTIONS:
            spread = {each["topologyKey"]: each["matchLabelKeys"] for each in pod["topologySpreadConstraints"]}
            assert spread.keys() == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, name
            assert all("app.kubernetes.io/name" in keys for keys in spread.values()), name


def test_a_first_install_does_not_wait_for_itself(manifests: Manifests) -> None:
    """A deploy tool runs the migrator beside the database and the broker, which it needs, not before them."""
    (job,) = (m for m in manifests if m["kind"] == "Job")
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Sync"


def test_traces_get_out(manifests: Manifests) -> None:
    """Where a namespace is labelled as the collector's: OTLP over HTTP, from every service."""
    (policy,) = (m for m in manifests if m["kind"] == "NetworkPolicy" and m["metadata"]["name"] == "services")
    assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} >= {4318}


def test_behind_an_ingress_each_client_keeps_its_own_address(manifests: Manifests) -> None:
    """The API believes the ingress's X-Forwarded-For, but not everybody's: limits are counted by address."""
    if not any(m["kind"] == "Ingress" for m in manifests):
        return
    (settings,) = (
        m["data"] for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"].startswith("project-api-")
    )
    believed = settings["FORWARDED_ALLOW_IPS"].split(",")
    assert all(ipaddress.ip_network(each).prefixlen > 0 for each in believed)


def test_the_owner_sees_what_row_level_security_is_forced_on(manifests: Manifests) -> None:
    """Else a restore is checked by comparing 0 with 0. It makes the services' roles as well."""
    (database,) = (m for m in manifests if m["apiVersion"].startswith("postgresql.cnpg.io") and m["kind"] == "Cluster")
    (owner,) = database["spec"]["managed"]["roles"]
    assert owner["name"] == database["spec"]["bootstrap"]["initdb"]["owner"]
    assert owner["bypassrls"]
    assert owner["createrole"]


def test_no_secret_is_written_down(manifests: Manifests) -> None:
    """They are referred to by name; no manifest is one, and no variable holds one."""
    assert not [m for m in manifests if m["kind"] == "Secret"]
    for name, pod in pods(manifests):
        for container in pod["containers"]:
            words = [each["name"] for each in container.get("env", []) if "value" in each]
            assert not [w for w in words if w.endswith(("PASSWORD", "SECRET", "KEYS", "_URL"))], name


def test_secrets_for_a_trial_are_those_that_are_referred_to(root: Path, manifests: Manifests, tmp_path: Path) -> None:
    """Every secret that a manifest names is made, but that of the production overlay's backups and certificate."""
    environment = tmp_path / ".env"
    subprocess.run([sys.executable, str(root / "deploy/compose/environment.py"), str(environment)], check=True)
    command = [sys.executable, str(root / "deploy/kubernetes/trial_secrets.py"), str(environment)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    made = {document["metadata"]["name"] for document in yaml.safe_load_all(printed)}
    named = {
        source["secretRef"]["name"]
        for _, pod in pods(manifests)
        for container in pod["containers"]
        for source in container.get("envFrom", [])
        if "secretRef" in source
    }
    assert named | {"database-owner", "broker-administrator"} == made
