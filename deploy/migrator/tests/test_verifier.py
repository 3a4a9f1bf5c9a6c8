import pytest
from migrator.verifier import scram_verifier


def test_verifier_is_what_postgresql_derives() -> None:
    """The verifier of RFC 7677's example password and salt has the keys that its exchange implies."""
    import base64

    verifier = scram_verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert verifier == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize("password", ["", "pässword"])
def test_a_password_that_would_need_normalising_is_refused(password: str) -> None:
    """An empty password and one outside ASCII are errors, not surprises at the first login."""
    with pytest.raises(ValueError, match="ASCII"):
        scram_verifier(password)
