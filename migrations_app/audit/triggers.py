"""The triggers that write entries: whatever path a change takes, it and its entry commit together."""

from __future__ import annotations

import json
from dataclasses import asdict

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from psycopg import sql

from migrations_app.audit.watched import WATCHED, Watched

FUNCTIONS = """
CREATE OR REPLACE FUNCTION sam_audit_meaning(lookup jsonb, value jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE found jsonb;
BEGIN
  IF lookup IS NULL OR value IS NULL THEN RETURN value; END IF;
  EXECUTE format('SELECT to_jsonb(%I) FROM %I WHERE id = $1', lookup->>1, lookup->>0)
    INTO found USING (value #>> '{}')::bigint;
  RETURN coalesce(found, value);
END $$;

CREATE OR REPLACE FUNCTION sam_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  rule jsonb := TG_ARGV[0]::jsonb;
  before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE to_jsonb(OLD) END;
  after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE to_jsonb(NEW) END;
  it jsonb := CASE WHEN TG_OP = 'DELETE' THEN before ELSE after END;
  actor jsonb := coalesce(nullif(current_setting('sam.actor', true), '')::jsonb,
                          '{"name": "", "door": "database"}');
  field text; was jsonb; becomes jsonb; changes jsonb := '{}';
BEGIN
  FOR field IN SELECT jsonb_array_elements_text(rule->'fields' || (rule->'hidden')) LOOP
    was := nullif(before->field, 'null');
    becomes := nullif(after->field, 'null');
    CONTINUE WHEN was IS NOT DISTINCT FROM becomes;
    CONTINUE WHEN TG_OP <> 'UPDATE' AND coalesce(was, becomes) IN ('""', '[]', '{}');
    IF rule->'hidden' ? field THEN
      was := '"not shown"'; becomes := was;
    ELSE
      was := sam_audit_meaning(rule->'lookups'->field, was);
      becomes := sam_audit_meaning(rule->'lookups'->field, becomes);
    END IF;
    changes := changes || jsonb_build_object(field, jsonb_build_array(was, becomes));
  END LOOP;
  IF TG_OP = 'UPDATE' AND changes = '{}' THEN RETURN NULL; END IF;
  INSERT INTO migrations_app_auditentry
    (at, actor, actor_pk, door, machine_user, kind, key, name, action, changes, person_pk)
  VALUES (
    clock_timestamp(), actor->>'name', (actor->>'pk')::bigint, actor->>'door',
    coalesce(actor->>'machine_user', ''), rule->>'kind', it->>'id',
    coalesce(sam_audit_meaning(rule->'lookups'->(rule->>'name'), nullif(it->(rule->>'name'), 'null')) #>> '{}',
             CASE WHEN it->>(rule->>'person') IS NULL THEN rule->>'nameless' END, ''),
    CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END,
    changes, (it->>(rule->>'person'))::bigint);
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION sam_audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND current_setting('sam.erasure', true) = 'on' THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'Entries of the audit are never changed or deleted.';
END $$;

CREATE OR REPLACE TRIGGER sam_audit_is_kept BEFORE UPDATE OR DELETE ON migrations_app_auditentry
FOR EACH ROW EXECUTE FUNCTION sam_audit_is_kept();
"""


def install_triggers(schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Watch every table of ``WATCHED`` that is there; a migration that adds one calls this again."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(FUNCTIONS)
        there = set(connection.introspection.table_names(cursor))
        for watched in WATCHED:
            if watched.table in there:
                cursor.execute(_make_trigger(watched))


def remove_triggers(schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Watch nothing any more."""
    with schema_editor.connection.cursor() as cursor:
        for name in ("sam_audit", "sam_audit_is_kept"):
            cursor.execute(f"DROP FUNCTION {name}() CASCADE")
        cursor.execute("DROP FUNCTION sam_audit_meaning(jsonb, jsonb)")


def write_rule(watched: Watched) -> str:
    """Return what the trigger of a table is told."""
    rule = {key: value for key, value in asdict(watched).items() if key != "table"}
    return json.dumps(rule, sort_keys=True)


def _make_trigger(watched: Watched) -> sql.Composed:
    return sql.SQL(
        "CREATE OR REPLACE TRIGGER sam_audit AFTER INSERT OR UPDATE OR DELETE ON {} "
        "FOR EACH ROW EXECUTE FUNCTION sam_audit({})"
    ).format(sql.Identifier(watched.table), sql.Literal(write_rule(watched)))
