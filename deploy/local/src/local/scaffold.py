"""`make service NAME=audit-log`: a new service that runs, with a handler, a table and a test to replace."""

import argparse
import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

from local.endpoints import MissingSettingError
from local.stack import Stack

TEMPLATES = Path(__file__).with_name("new_service")
MODEL = "status-projector"
"""The service beside whose name the new one is put, wherever services are listed."""

LISTS = "pyproject.toml", "deploy/migrator/pyproject.toml"
MANIFEST = f"deploy/kubernetes/base/{MODEL}.yaml"
BLOCKS = {
    "deploy/compose.yaml": rf"^  {MODEL}:\n(?:    .*\n)+\n|^      {MODEL.replace('-', '_').upper()}_\w+: .*\n",
    "deploy/prometheus/prometheus.yml": rf"^  - job_name: {MODEL}\n(?:    .*\n)+",
    "deploy/prometheus/rules.yml": rf"\|{MODEL}| or absent\(up\{{job=\"{MODEL}\"\}}\)",
    "deploy/prometheus/rules_test.yml": rf"^ +- \{{(?:series: 'up|labels: ')\{{job=\"{MODEL}\".*\n",
    "deploy/kubernetes/base/kustomization.yaml": rf"^  - {MODEL}.yaml\n",
    "deploy/kubernetes/overlays/local/kustomization.yaml": rf"^  - {{name: uca/{MODEL},.*\n",
    "deploy/kubernetes/overlays/production/kustomization.yaml": rf"^  - {{name: uca/{MODEL},.*\n",
}
"""By file, what is there of the model; the new service gets the same, in its own name."""
SUBSCRIPTIONS = "shared/contracts/src/contracts/subscriptions.py"


def create(root: Path, name: str) -> list[Path]:
    """Writes the service's files and lists it where services are listed; returns what was written or changed.

    Raises:
        MissingSettingError: the name is no good, or there is such a service.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise MissingSettingError("Give the service a name of lower-case words: make service NAME=audit-log")
    package, folder = name.replace("-", "_"), root / "services" / name
    if folder.exists():
        raise MissingSettingError(f"There is a service {name} already, in {folder}")
    in_compose = re.search(rf"^  {name}:", (root / "deploy/compose.yaml").read_text(), re.MULTILINE)
    if keyword.iskeyword(package) or importlib.util.find_spec(package) or in_compose:
        raise MissingSettingError(f"{name} is a name of Python's, of a package's or of a container's: give another")
    written = []
    for template in sorted(path for path in TEMPLATES.rglob("*.in")):
        inside = template.relative_to(TEMPLATES).with_suffix("")
        target = folder / ("src" / (Path(package) / inside.relative_to("src")) if inside.parts[0] == "src" else inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(template.read_text()).substitute(name=name, package=package))
        written.append(target)
    for file in (root / path for path in LISTS):
        file.write_text(enlist(file.read_text(), name))
        written.append(file)
    for path, block in BLOCKS.items():
        file = root / path
        file.write_text(re.sub(block, lambda found: found[0] + renamed(found[0], name), file.read_text(), flags=re.M))
        written.append(file)
    manifest = root / MANIFEST
    manifest.with_name(f"{name}.yaml").write_text(renamed(manifest.read_text(), name))
    subscriptions = root / SUBSCRIPTIONS
    subscriptions.write_text(subscribe(subscriptions.read_text(), name))
    return [*written, manifest.with_name(f"{name}.yaml"), subscriptions]


def renamed(text: str, name: str) -> str:
    """The model's text in another service's name: as it is, as a package, and as variables have it."""
    for form in (str, lambda word: word.replace("-", "_"), lambda word: word.replace("-", "_").upper()):
        text = text.replace(form(MODEL), form(name))
    return text


def enlist(text: str, name: str) -> str:
    """Puts a service beside the model in every list of a pyproject.toml: of dependencies, folders and import rules."""
    pairs = [(MODEL, name), (MODEL.replace("-", "_"), name.replace("-", "_"))]
    for old, new in pairs:
        text = re.sub(rf"^uca-{old} = (.*)$", rf"\g<0>\nuca-{new} = \1", text, flags=re.MULTILINE)
        text = re.sub(rf'"((?:uca-|services/)?){old}((?:/src)?)"', rf'\g<0>, "\g<1>{new}\g<2>"', text)
        text = re.sub(rf"\| {old}\b(?!\.)", rf"\g<0> | {new}", text)
    return text


def subscribe(text: str, name: str) -> str:
    """Lets a service listen to ProjectCreated, and publish nothing yet."""
    for table, keys in (("SUBSCRIPTIONS", "(events.ProjectCreated.routing_key,)"), ("PUBLICATIONS", "()")):
        begin = text.index(f"\n{table}:")
        end = text.index("\n}", begin)
        text = f'{text[:end]}\n    "{name}": {keys},{text[end:]}'
    return text


def run(_: Stack, arguments: argparse.Namespace) -> None:
    for path in create(Path.cwd(), arguments.name or ""):
        print(path.relative_to(Path.cwd()))
    print("Next: make up starts it with the others. Then replace its handler, table and test by what it is for.")
