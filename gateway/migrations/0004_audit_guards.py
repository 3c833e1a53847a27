"""Guards of the audit trail that hold whoever writes: the database itself notes each new event and refuses to change one.

A later migration that makes SQLite build ``gateway_event`` or ``gateway_auditbatch`` anew (any AlterField does) drops their
triggers there without a word and has to install them again; the tests of the guards find it.
"""

from django.db import migrations

_POSTGRESQL = """
CREATE FUNCTION gateway_event_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_unsealedevent (event_id) SELECT id FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_event_added AFTER INSERT ON gateway_event
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION gateway_event_added();

CREATE FUNCTION gateway_event_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM gateway_archivingnow) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit trail: event % cannot be %', OLD.id, CASE TG_OP WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER gateway_event_kept BEFORE UPDATE OR DELETE ON gateway_event
    FOR EACH ROW EXECUTE FUNCTION gateway_event_kept();

CREATE FUNCTION gateway_auditbatch_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit trail: batch % cannot be %', OLD.sequence, CASE TG_OP WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER gateway_auditbatch_kept BEFORE UPDATE OR DELETE ON gateway_auditbatch
    FOR EACH ROW EXECUTE FUNCTION gateway_auditbatch_kept();

-- Rows come and go here all the time: a few thousand dead ones are swept away, not a fifth of nothing.
ALTER TABLE gateway_unsealedevent SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
"""

_POSTGRESQL_BACK = """
DROP TRIGGER gateway_event_added ON gateway_event;
DROP TRIGGER gateway_event_kept ON gateway_event;
DROP TRIGGER gateway_auditbatch_kept ON gateway_auditbatch;
DROP FUNCTION gateway_event_added();
DROP FUNCTION gateway_event_kept();
DROP FUNCTION gateway_auditbatch_kept();
ALTER TABLE gateway_unsealedevent RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
"""

# No guard against DELETE: SQLite has no TRUNCATE, so tests empty their tables with it. What is deleted is missed by the chain.
_SQLITE = [
    """
    CREATE TRIGGER gateway_event_added AFTER INSERT ON gateway_event
    BEGIN INSERT INTO gateway_unsealedevent (event_id) VALUES (NEW.id); END
    """,
    """
    CREATE TRIGGER gateway_event_kept BEFORE UPDATE ON gateway_event
    BEGIN SELECT RAISE(ABORT, 'audit trail: an event cannot be changed'); END
    """,
    """
    CREATE TRIGGER gateway_auditbatch_kept BEFORE UPDATE ON gateway_auditbatch
    BEGIN SELECT RAISE(ABORT, 'audit trail: a batch cannot be changed'); END
    """,
]


# reviewed SQL of this module: constants


def install(apps, schema_editor):
    for statement in [_POSTGRESQL] if schema_editor.connection.vendor == "postgresql" else _SQLITE:
        schema_editor.execute(statement, params=None)  # reviewed SQL: constants of this module
    # What has happened so far is sealed too, as it stands now. Making the trigger has waited for whoever was adding events,
    # and lets nobody add one until this is committed: none is missed between the two.
    schema_editor.execute("INSERT INTO gateway_unsealedevent (event_id) SELECT id FROM gateway_event")


def remove(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(_POSTGRESQL_BACK, params=None)
    else:
        for name in ("gateway_event_added", "gateway_event_kept", "gateway_auditbatch_kept"):
            schema_editor.execute(f"DROP TRIGGER {name}")  # reviewed SQL: names from the line above
    schema_editor.execute("DELETE FROM gateway_unsealedevent")


class Migration(migrations.Migration):
    dependencies = [("gateway", "0003_durability")]

    operations = [migrations.RunPython(install, remove)]
