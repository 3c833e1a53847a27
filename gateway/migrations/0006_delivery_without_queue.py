from django.db import migrations, models

#: A delivery that is over stays so, whoever writes; the queue is vacuumed after a thousand changes instead of a fifth of it.
_ON_POSTGRESQL = """
CREATE FUNCTION gateway_delivery_is_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'delivery % is %, and stays so', OLD.id, OLD.state;
END $$;
CREATE TRIGGER gateway_delivery_over BEFORE UPDATE OF state ON gateway_delivery FOR EACH ROW
    WHEN (OLD.state IN ('delivered', 'cancelled') AND NEW.state <> OLD.state) EXECUTE FUNCTION gateway_delivery_is_over();
ALTER TABLE gateway_queueentry SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE gateway_queuelane SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);
"""
_OFF_POSTGRESQL = """
DROP TRIGGER gateway_delivery_over ON gateway_delivery;
DROP FUNCTION gateway_delivery_is_over();
"""
_ON_SQLITE = """
CREATE TRIGGER gateway_delivery_over BEFORE UPDATE OF state ON gateway_delivery FOR EACH ROW
    WHEN OLD.state IN ('delivered', 'cancelled') AND NEW.state <> OLD.state
    BEGIN SELECT RAISE(ABORT, 'a delivery that is over stays so'); END
"""


def guard(apps, editor):
    statement = _ON_POSTGRESQL if editor.connection.vendor == "postgresql" else _ON_SQLITE
    # reviewed SQL: constants of this module; its percent signs are its own
    editor.execute(statement, params=None)


def unguard(apps, editor):
    # reviewed SQL: constants of this module
    editor.execute(
        _OFF_POSTGRESQL if editor.connection.vendor == "postgresql" else "DROP TRIGGER gateway_delivery_over"
    )


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0005_fill_queue"),
    ]

    operations = [
        migrations.DeleteModel(name="Attempt"),
        migrations.DeleteModel(name="DeliveryLane"),
        migrations.RemoveIndex(model_name="delivery", name="delivery_due"),
        migrations.RemoveField(model_name="delivery", name="crashes"),
        migrations.RemoveField(model_name="delivery", name="doubtful"),
        migrations.RemoveField(model_name="delivery", name="due_at"),
        migrations.RemoveField(model_name="delivery", name="lease_until"),
        migrations.RemoveField(model_name="delivery", name="owner"),
        migrations.RemoveField(model_name="delivery", name="token"),
        migrations.AlterField(
            model_name="delivery", name="state", field=models.CharField(default="open", max_length=16)
        ),
        migrations.RunPython(guard, unguard),
    ]
