"""The regions file: read with its secrets kept out of sight, and refused with words that help."""

import json
from pathlib import Path
from typing import Any

import pytest
from clouds.regions import RegionsError, load_regions

ENTRY: dict[str, Any] = {
    "code": "il-1",
    "name": "Israel 1",
    "provider": "zadara",
    "url": "https://il1.example.com",
    "account": "uca",
    "username": "svc",
    "password_env": "IL1_PASSWORD",
}


def load(tmp_path: Path, *entries: Any, **environ: str) -> Any:
    file = tmp_path / "regions.json"
    file.write_text(json.dumps(list(entries)))
    return load_regions(file, {"IL1_PASSWORD": "hunter2", **environ})


def test_passwords_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """And are in no repr and no dump."""
    secret = tmp_path / "secret"
    secret.write_text("from-file\n")
    by_file = ENTRY | {"code": "il-2", "password_env": None, "password_file": str(secret)}
    regions = load(tmp_path, ENTRY, by_file)
    assert [region.password.get_secret_value() for region in regions.values()] == ["hunter2", "from-file"]
    assert "hunter2" not in repr(regions) + regions["il-1"].model_dump_json()


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://il1.example.com:443/api", "https://il1.example.com/api"),
        ("https://il1.example.com:443", "https://il1.example.com"),
        ("https://[2606:4700::443]:443", "https://[2606:4700::443]"),
        ("https://il1.example.com:4430", "https://il1.example.com:4430"),
        ("https://il1.example.com:80", "https://il1.example.com:80"),
    ],
)
def test_a_port_that_the_scheme_implies_is_left_out(tmp_path: Path, url: str, called: str) -> None:
    """As a request's signature leaves it out, and would else be for another host than the request names."""
    assert load(tmp_path, ENTRY | {"url": url})["il-1"].url == called


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": None}, "region 'il-1': url"),
        ({"url": "ftp://x"}, "url must be an http"),
        ({"code": "a b"}, "code"),
        ({"surprise": 1}, "surprise"),
        ({"password": "hunter2"}, "password must not be in the file"),
        ({"password_env": None}, "either password_env or password_file"),
        ({"password_env": "UNSET"}, "UNSET is not set"),
        ({"password_env": None, "password_file": "/nowhere"}, "cannot be read"),
        ({"is_active": "maybe"}, "is_active"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """Region and field, and never the password."""
    with pytest.raises(RegionsError, match=words) as raised:
        load(tmp_path, ENTRY | change)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "{}", "[]", "[1]", "[{}]"])
def test_a_file_that_is_no_list_of_regions_is_refused(tmp_path: Path, content: str) -> None:
    """Whatever it is instead."""
    file = tmp_path / "regions.json"
    file.write_text(content)
    with pytest.raises(RegionsError, match=r"regions\.json"):
        load_regions(file, {})


def test_a_missing_file_says_which_setting_names_it(tmp_path: Path) -> None:
    """CLOUD_REGIONS_FILE."""
    with pytest.raises(RegionsError, match="CLOUD_REGIONS_FILE"):
        load_regions(tmp_path / "none.json", {})


def test_codes_differ(tmp_path: Path) -> None:
    """Two regions of one code would hide each other."""
    with pytest.raises(RegionsError, match="twice"):
        load(tmp_path, ENTRY, ENTRY)
