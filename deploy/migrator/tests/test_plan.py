from migrator.plan import Service, password_variables


def test_names_follow_from_the_service() -> None:
    """Schema, role and broker user of a service are named like it."""
    service = Service("user-syncer")
    assert (service.schema, service.role, service.roles) == ("user_syncer", "uca_user_syncer", ("uca_user_syncer",))


def test_every_role_and_broker_user_has_a_password_variable() -> None:
    """A service needs a password for each of its roles and one for the broker."""
    assert list(password_variables([Service("project-api")])) == [
        "PROJECT_API_DATABASE_PASSWORD",
        "PROJECT_API_TENANT_DATABASE_PASSWORD",
        "PROJECT_API_AMQP_PASSWORD",
    ]
