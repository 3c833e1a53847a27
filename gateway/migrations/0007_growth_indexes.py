"""Indexes for tables that have grown: what is asked all the time finds its rows, and none stays that nothing asks for.

Those that go are dropped by their names: changing the field would make SQLite build the table anew, which takes long and loses
the triggers that guard it.
"""

import django.db.models.deletion
from django.db import migrations, models

#: Table, column: what asked by these finds its rows by a longer index now, or is not asked.
_USELESS = [
    ("transmission", "partner_id"),
    ("interchange", "partner_id"),
    ("document", "partner_id"),
    ("document", "state"),
    ("order", "partner_id"),
    ("exceptioncase", "state"),
    ("event", "partner_id"),
]


def drop(apps, editor):
    with editor.connection.cursor() as cursor:
        for table, column in _USELESS:
            found = editor.connection.introspection.get_constraints(cursor, f"gateway_{table}")
            for name, one in found.items():
                if one["index"] and not one["unique"] and one["columns"] == [column]:
                    # reviewed SQL: a name the database gave, quoted
                    editor.execute(f"DROP INDEX {editor.quote_name(name)}")


def make(apps, editor):
    for table, column in _USELESS:
        field = next(one for one in apps.get_model("gateway", table)._meta.concrete_fields if one.column == column)
        for statement in editor._field_indexes_sql(field.model, field):
            editor.execute(statement)  # reviewed SQL: made by Django


def _partner(related_name, **more):
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related_name,
        to="partners.tradingpartner",
        **more,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("gateway", "0006_delivery_without_queue"),
        ("partners", "0003_retention"),
    ]

    operations = [
        # Backwards it runs with the fields as they were, indexes and all.
        migrations.RunPython(drop, make),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("transmission", "partner", _partner("transmissions")),
                migrations.AlterField("interchange", "partner", _partner("interchanges")),
                migrations.AlterField("document", "partner", _partner("documents")),
                migrations.AlterField("order", "partner", _partner("orders")),
                migrations.AlterField("event", "partner", _partner("+", null=True)),
                migrations.AlterField("document", "state", models.CharField(default="received", max_length=16)),
                migrations.AlterField("exceptioncase", "state", models.CharField(default="open", max_length=16)),
            ]
        ),
        migrations.AddIndex("transmission", models.Index(fields=["partner", "at"], name="transmission_of_partner")),
        migrations.AddIndex("transmission", models.Index(fields=["message_id"], name="transmission_by_message_id")),
        migrations.AddIndex("interchange", models.Index(fields=["control_number"], name="interchange_by_number")),
        migrations.AddIndex("document", models.Index(fields=["partner", "at"], name="document_of_partner")),
        migrations.AddIndex("exceptioncase", models.Index(fields=["state", "due_at"], name="case_due")),
        migrations.RemoveIndex("order", "order_by_number"),
        migrations.AddIndex("order", models.Index(fields=["number", "partner"], name="order_by_number")),
        migrations.AddIndex("order", models.Index(fields=["partner", "updated_at"], name="order_of_partner")),
        migrations.AddIndex(
            "order",
            models.Index(
                fields=["ack_due_at"],
                condition=models.Q(
                    ("ack_due_at__isnull", False),
                    models.Q(
                        ("acknowledged_revision", None),
                        ("acknowledged_revision__lt", models.F("revision")),
                        _connector="OR",
                    ),
                ),
                name="order_unanswered",
            ),
        ),
    ]
