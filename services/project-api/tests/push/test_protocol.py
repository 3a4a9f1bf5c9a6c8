"""The Pusher protocol without a network."""

import json

import pytest
from project_api.push import protocol
from project_api.push.protocol import Code, Ping, Pong, Refused, Subscribe, Unsubscribe

CHANNEL = "private-projects.F81401"


def test_a_socket_is_greeted_with_its_id_and_the_activity_timeout() -> None:
    """The first frame carries socket_id and activity_timeout in data that is a JSON string."""
    greeting = json.loads(protocol.established("123.456"))
    assert greeting["event"] == "pusher:connection_established"
    assert json.loads(greeting["data"]) == {"socket_id": "123.456", "activity_timeout": 30}


def test_socket_ids_are_two_numbers_and_not_alike() -> None:
    """Socket ids have the form that clients and the auth endpoint expect."""
    ids = {protocol.new_socket_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(protocol.is_socket_id(each) for each in ids)


@pytest.mark.parametrize("text", ["", "1", "1.2.3", "1.2\n", "a.b", "1.2:private-projects.X", "٣.٤", "1" * 11 + ".1"])
def test_what_is_no_socket_id_is_not_signed(text: str) -> None:
    """Nothing but two numbers passes as a socket id, so no signature can be moved to another channel."""
    assert not protocol.is_socket_id(text)


def test_the_signature_is_the_protocols() -> None:
    """The signature is Pusher's own published example: HMAC-SHA256 over socket_id:channel, in hex."""
    signed = protocol.sign("278d425bdf160c739803", "7ad3773142a6692b25b8", "1234.1234", "private-foobar")
    assert signed == "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"


def test_a_signature_is_good_for_one_socket_one_channel_and_one_secret() -> None:
    """A signature shown by another socket, for another channel or made with another secret is none."""
    auth = protocol.sign("key", "secret", "1.2", CHANNEL)
    assert protocol.is_signed(auth, "key", "secret", "1.2", CHANNEL)
    assert not protocol.is_signed(auth, "key", "secret", "1.3", CHANNEL)
    assert not protocol.is_signed(auth, "key", "secret", "1.2", CHANNEL + "0")
    assert not protocol.is_signed(auth, "key", "secret2", "1.2", CHANNEL)
    assert not protocol.is_signed("key:\ud800", "key", "secret", "1.2", CHANNEL)


def test_what_a_client_says_is_understood() -> None:
    """Ping, pong, subscribe and unsubscribe are read, with data as an object or as a JSON string."""
    assert protocol.parse('{"event":"pusher:ping","data":{}}') == Ping()
    assert protocol.parse('{"event":"pusher:pong"}') == Pong()
    data = {"auth": "key:abc", "channel": CHANNEL}
    for form in (data, json.dumps(data)):
        said = json.dumps({"event": "pusher:subscribe", "data": form})
        assert protocol.parse(said) == Subscribe(CHANNEL, "key:abc")
    said = json.dumps({"event": "pusher:unsubscribe", "data": {"channel": CHANNEL}})
    assert protocol.parse(said) == Unsubscribe(CHANNEL)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "[" * 5000,
        '{"event":1}',
        '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":{"channel":7}}',
        '{"event":"pusher:unsubscribe","data":"x"}',
        '{"event":"pusher:signin","data":{}}',
    ],
)
def test_a_bad_message_is_refused_with_4200(text: str) -> None:
    """What is not of the protocol is answered with 4200, whatever it is."""
    said = protocol.parse(text)
    assert isinstance(said, Refused)
    assert said.code == Code.BAD_MESSAGE


@pytest.mark.parametrize(
    "channel", ["projects.F1", "presence-projects.F1", "private-users.1", "private-projects.", "#x"]
)
def test_channels_that_do_not_exist_are_refused_with_4009(channel: str) -> None:
    """Only a project's private channel can be subscribed to."""
    said = protocol.parse(json.dumps({"event": "pusher:subscribe", "data": {"channel": channel, "auth": "k:s"}}))
    assert isinstance(said, Refused)
    assert said.code == Code.UNAUTHORIZED


def test_client_events_are_refused() -> None:
    """Clients cannot speak to each other through us."""
    said = protocol.parse(json.dumps({"event": "client-typing", "channel": CHANNEL, "data": {}}))
    assert isinstance(said, Refused)
    assert said.code == Code.UNAUTHORIZED


def test_an_error_carries_its_code_in_a_json_string() -> None:
    """Errors have the protocol's form, and name the channel that they end."""
    told = json.loads(protocol.error(Code.UNAUTHORIZED, "No.", CHANNEL))
    assert told["event"] == "pusher:error"
    assert told["channel"] == CHANNEL
    assert json.loads(told["data"]) == {"code": 4009, "message": "No."}


def test_a_channel_names_one_project() -> None:
    """Channel and identifier are one to one."""
    assert protocol.channel_of("F81401") == CHANNEL
    assert protocol.identifier_of(CHANNEL) == "F81401"
    assert protocol.identifier_of(CHANNEL + "\n") is None


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("https://portal.example", "portal.example", True),
        ("http://Portal.example:8000", "portal.example:8000", True),
        ("https://portal.example.evil", "portal.example", False),
        ("https://evil@portal.example", "portal.example", False),
        ("http://[", "portal.example", False),
        ("file://", "", False),
        ("null", "null", False),
        ("", "", False),
    ],
)
def test_only_a_page_of_the_same_name_is_our_own(origin: str, host: str, own: bool) -> None:
    """The Origin's host and port must be the very ones that the socket was asked for at."""
    assert protocol.is_own_origin(origin, host) is own
