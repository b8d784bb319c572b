import psycopg


def test_a_migrated_database_has_one_default_organisation(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT name FROM organisation").fetchall() == [("default",)]
