"""A private RabbitMQ: own node, own ports, own port mapper, loopback only."""

from dataclasses import dataclass
from pathlib import Path

import httpx

from local import credentials, programs

ADMINISTRATOR = "uca_admin"
VIRTUAL_HOST = "uca"
NODE = "uca-broker@localhost"

CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
default_vhost = {vhost}
default_user = {user}
default_pass = {password}
loopback_users = none
# A delivery that nobody acknowledged for half an hour goes back to its queue.
consumer_timeout = 1800000
heartbeat = 10
# The services send no message over 4 MB; the broker refuses one that is larger than that.
max_message_size = 4194304
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 200MB
log.console = true
log.file = false
management.rates_mode = basic
collect_statistics_interval = 10000
"""

ERLANG = "-noinput +B i +S 2:2 +SDcpu 1:1 +SDio 2 +A 16 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Two schedulers that sleep when idle, so that the broker leaves a small machine to the services."""

LOOPBACK_DISTRIBUTION = "-kernel inet_dist_use_interface {127,0,0,1}"


@dataclass(frozen=True)
class Broker:
    """Where the private instance is and how its administrator reaches it."""

    folder: Path
    amqp_port: int
    management_port: int
    distribution_port: int
    epmd_port: int
    password: str

    @property
    def url(self) -> str:
        """The administrator's AMQP URL."""
        return f"amqp://{ADMINISTRATOR}:{self.password}@127.0.0.1:{self.amqp_port}/{VIRTUAL_HOST}"

    @property
    def api_url(self) -> str:
        """The management HTTP API's URL, with the administrator's credentials."""
        return f"http://{ADMINISTRATOR}:{self.password}@127.0.0.1:{self.management_port}"

    def command(self) -> list[str]:
        return [str(programs.rabbitmq())]

    def mapper_command(self) -> list[str]:
        return [programs.epmd(), "-port", str(self.epmd_port), "-address", "127.0.0.1"]

    def environment(self) -> dict[str, str]:
        """RabbitMQ's own settings; nothing of /etc/rabbitmq or /var/lib/rabbitmq is read or written."""
        return {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "no-advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "rabbitmq.pid"),
            "RABBITMQ_LOG": "info,-color",
            "RABBITMQ_ALLOW_INPUT": "1",  # the start script becomes the node instead of waiting beside it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{ERLANG} {LOOPBACK_DISTRIBUTION}",
        }

    def prepare(self) -> None:
        """Writes the configuration; data that is there stays, and so does what a person put into `conf.d`."""
        for name in ("data", "log", "generated", "conf.d"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        text = CONFIGURATION.format(
            amqp=self.amqp_port,
            management=self.management_port,
            vhost=VIRTUAL_HOST,
            user=ADMINISTRATOR,
            password=self.password,
        )
        credentials.write_private(self.folder / "rabbitmq.conf", text)

    def open(self) -> None:
        """Asks whether the node is up with its listeners.

        Raises:
            httpx.HTTPError: not ready (yet).
        """
        for check in ("node-is-quorum-critical", f"port-listener/{self.amqp_port}"):
            httpx.get(f"{self.api_url}/api/health/checks/{check}", timeout=5).raise_for_status()
