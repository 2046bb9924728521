DELETE FROM orders
=> irreversible delete; delete public.orders(*) # deletes rows

DELETE FROM orders WHERE id = 1
=> irreversible delete; delete public.orders(*); select public.orders(id) read # deletes rows

DELETE FROM orders USING customers c WHERE c.id = orders.customer_id AND c.name = 'x' RETURNING orders.id
=> irreversible delete; select public.customers(id,name) read; delete public.orders(*); select public.orders(customer_id,id) read # deletes rows

TRUNCATE orders, customers CASCADE
=> irreversible truncate; truncate public.customers(*); truncate public.orders(*) # cannot be undone

DROP TABLE orders, s.t
=> irreversible drop; drop public.orders(*); drop s.t(*) # removes objects

DROP TABLE orders CASCADE
=> irreversible drop; drop database; drop public.orders(*) # removes objects, may remove more than it names

DROP SCHEMA public CASCADE
=> irreversible drop; drop database # removes objects, may remove more than it names

DROP OWNED BY x
=> irreversible drop; drop database # is a DropOwned

DROP DATABASE shop
=> irreversible drop; drop database # is a Dropdb

DROP FUNCTION f(int)
=> irreversible drop; drop database # removes objects, may remove more than it names

ALTER TABLE orders ADD COLUMN x int
=> irreversible alter; alter public.orders(*) # cannot be undone

ALTER TABLE orders RENAME TO o
=> irreversible alter; alter public.orders(*) # cannot be undone

ALTER ROLE me SUPERUSER
=> irreversible alter; alter database # is a AlterRole

ALTER SYSTEM SET fsync = off
=> irreversible alter; alter database # is a AlterSystem

ALTER DATABASE shop SET x.y = 1
=> irreversible alter; alter database # is a AlterDatabaseSet

ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC
=> irreversible alter; alter database # is a AlterDefaultPrivileges

GRANT SELECT ON orders TO PUBLIC
=> irreversible grant; grant public.orders(*) # cannot be undone

GRANT admin TO me
=> irreversible grant; grant database # is a GrantRole

REVOKE ALL ON orders FROM x
=> irreversible grant; grant public.orders(*) # cannot be undone

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM x
=> irreversible grant; grant database # is a Grant

UPDATE orders SET total = 0
=> irreversible update; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE true
=> irreversible update; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE 1 = 1
=> irreversible update; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id = id
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id IS NOT NULL
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id = 1 OR true
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE NOT false
=> irreversible update; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id <> 0
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id = id + 0
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE city LIKE '%'
=> irreversible update; select public.orders(city) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE EXISTS (SELECT 1)
=> irreversible update; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id IN (SELECT id FROM orders)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE $1
=> irreversible update; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 FROM customers c WHERE c.id = 1
=> irreversible update; select public.customers(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders o SET total = 0 FROM orders p WHERE o.id = p.id
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id = (SELECT id)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE (id = 1) IS NOT NULL
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id = ANY(ARRAY[id])
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id BETWEEN id AND id
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 0 WHERE id >= (SELECT min(id) FROM orders)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE pg_settings SET setting = 'off' WHERE name = 'row_security'
=> irreversible update; select pg_catalog.pg_settings(name) read; update pg_catalog.pg_settings(setting) # changes rows

UPDATE pg_catalog.pg_class SET relname = 'x' WHERE oid = 1
=> irreversible update; select pg_catalog.pg_class(oid) read; update pg_catalog.pg_class(relname) # changes rows

INSERT INTO pg_catalog.pg_authid (rolname) VALUES ('x')
=> irreversible insert; insert pg_catalog.pg_authid(rolname) # adds rows

INSERT INTO orders (id) VALUES (f())
=> irreversible insert; call database; insert public.orders(id) write # adds rows, calls f

MERGE INTO orders o USING staging s ON o.id = s.id WHEN MATCHED THEN DELETE
=> irreversible merge; delete public.orders(*); select public.orders(id) read; select public.staging(id) read # deletes rows

MERGE INTO orders o USING staging s ON true WHEN MATCHED THEN UPDATE SET total = 0
=> irreversible merge; update public.orders(total); select public.staging() read # changes rows

WITH x AS (DELETE FROM orders RETURNING id) SELECT * FROM x
=> irreversible select; delete public.orders(*); select public.orders(id) read # deletes rows

SELECT * FROM (WITH x AS (DELETE FROM orders WHERE id = 1 RETURNING *) SELECT * FROM x) s
=> irreversible select; delete public.orders(*); select public.orders(*) read # deletes rows

SELECT (WITH x AS (UPDATE orders SET total = 0 RETURNING id) SELECT count(*) FROM x)
=> irreversible select; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

WITH a AS (SELECT 1), b AS (WITH c AS (DELETE FROM orders RETURNING 1) SELECT * FROM c) SELECT * FROM a, b
=> irreversible select; delete public.orders(*) # deletes rows

EXPLAIN ANALYZE DELETE FROM orders
=> irreversible explain; delete public.orders(*) # deletes rows

EXPLAIN (ANALYZE) WITH x AS (DELETE FROM orders RETURNING 1) SELECT 1
=> irreversible explain; delete public.orders(*) # deletes rows

EXPLAIN (ANALYZE 'false', ANALYZE on) DELETE FROM orders
=> irreversible explain; delete public.orders(*) # deletes rows

EXPLAIN (VERBOSE, ANALYZE 1) DELETE FROM orders
=> irreversible explain; delete public.orders(*) # deletes rows

EXPLAIN EXECUTE p
=> irreversible explain; execute database # runs what was prepared as p

EXPLAIN SELECT f()
=> irreversible explain; call database # calls f

EXPLAIN ANALYZE CREATE TABLE t AS SELECT f()
=> irreversible explain; call database; create public.t() write # makes a table, calls f

PREPARE p AS DELETE FROM orders
=> irreversible prepare; delete public.orders(*) # deletes rows

EXECUTE p
=> irreversible execute; execute database # runs what was prepared as p

EXECUTE p (f(1))
=> irreversible execute; call database; execute database # calls f, runs what was prepared as p

DECLARE c CURSOR FOR SELECT f()
=> irreversible declare; call database # calls f

DO $$ BEGIN DELETE FROM orders; END $$
=> irreversible do; do database # is a Do

DO LANGUAGE plpgsql 'BEGIN END'
=> irreversible do; do database # is a Do

CALL p(1)
=> irreversible call; call database # is a Call, calls p

LOAD 'x'
=> irreversible load; load database # is a Load

COPY orders TO PROGRAM 'cat'
=> irreversible copy; copy database; select public.orders(*) read # copies from or to a file or program of the server

COPY orders FROM PROGRAM 'cat'
=> irreversible copy; copy database; insert public.orders(*) write # copies from or to a file or program of the server, adds rows

COPY orders TO '/tmp/x'
=> irreversible copy; copy database; select public.orders(*) read # copies from or to a file or program of the server

COPY orders FROM '/etc/passwd'
=> irreversible copy; copy database; insert public.orders(*) write # copies from or to a file or program of the server, adds rows

COPY (DELETE FROM orders RETURNING id) TO STDOUT
=> irreversible copy; delete public.orders(*); select public.orders(id) read # deletes rows

COPY (SELECT f()) TO STDOUT
=> irreversible copy; call database # calls f

COPY pg_authid FROM STDIN
=> irreversible copy; insert pg_catalog.pg_authid(*) # adds rows

SELECT f(1)
=> irreversible select; call database # calls f

SELECT public.f(1)
=> irreversible select; call database # calls public.f

SELECT public.lower('x')
=> irreversible select; call database # calls public.lower

SELECT pg_sleep(1)
=> irreversible select; call database # calls pg_sleep

SELECT pg_sleep_for('1 hour')
=> irreversible select; call database # calls pg_sleep_for

SELECT set_config('search_path', '', false)
=> irreversible select; call database # calls set_config

SELECT pg_terminate_backend(1)
=> irreversible select; call database # calls pg_terminate_backend

SELECT pg_cancel_backend(1)
=> irreversible select; call database # calls pg_cancel_backend

SELECT pg_reload_conf()
=> irreversible select; call database # calls pg_reload_conf

SELECT setval('s', 1)
=> irreversible select; call database # calls setval

SELECT lo_import('/etc/passwd')
=> irreversible select; call database # calls lo_import

SELECT lo_export(1, '/tmp/x')
=> irreversible select; call database # calls lo_export

SELECT lo_from_bytea(0, 'x'), lo_put(1, 0, 'x'), lo_unlink(1), lo_create(0), lo_open(1, 131072), lowrite(0, 'x')
=> irreversible select; call database # calls lo_from_bytea, calls lo_put, calls lo_unlink, calls lo_create, calls lo_open, calls lowrite

SELECT pg_read_file('/etc/passwd')
=> irreversible select; call database # calls pg_read_file

SELECT pg_read_binary_file('x'), pg_ls_dir('.'), pg_stat_file('x')
=> irreversible select; call database # calls pg_read_binary_file, calls pg_ls_dir, calls pg_stat_file

SELECT query_to_xml('DELETE FROM orders', true, true, '')
=> irreversible select; call database # calls query_to_xml

SELECT query_to_xml_and_xmlschema('DELETE FROM orders', true, true, ''), query_to_xmlschema('SELECT 1', true, true, '')
=> irreversible select; call database # calls query_to_xml_and_xmlschema, calls query_to_xmlschema

SELECT table_to_xml('orders'::regclass, true, true, '')
=> irreversible select; call database # calls table_to_xml

SELECT database_to_xml(true, true, ''), schema_to_xml('public', true, true, '')
=> irreversible select; call database # calls database_to_xml, calls schema_to_xml

SELECT cursor_to_xml('c', 1, true, true, '')
=> irreversible select; call database # calls cursor_to_xml

SELECT * FROM ts_stat('SELECT 1')
=> irreversible select; call database # calls ts_stat

SELECT ts_rewrite('a'::tsquery, 'SELECT 1')
=> irreversible select; call database # calls ts_rewrite

SELECT dblink('host=x', 'DELETE FROM orders')
=> irreversible select; call database # calls dblink

SELECT * FROM dblink('host=x', 'SELECT 1') AS t(a int)
=> irreversible select; call database # calls dblink

SELECT pg_advisory_lock(1)
=> irreversible select; call database # calls pg_advisory_lock

SELECT pg_try_advisory_xact_lock(1)
=> irreversible select; call database # calls pg_try_advisory_xact_lock

SELECT txid_current(), pg_current_xact_id()
=> irreversible select; call database # calls txid_current, calls pg_current_xact_id

SELECT pg_create_restore_point('x'), pg_switch_wal(), pg_export_snapshot()
=> irreversible select; call database # calls pg_create_restore_point, calls pg_switch_wal, calls pg_export_snapshot

SELECT pg_logical_emit_message(true, 'a', 'b')
=> irreversible select; call database # calls pg_logical_emit_message

SELECT pg_stat_reset()
=> irreversible select; call database # calls pg_stat_reset

SELECT pg_create_logical_replication_slot('a', 'test_decoding')
=> irreversible select; call database # calls pg_create_logical_replication_slot

SELECT o.pg_sleep FROM orders o
=> irreversible select; call database; select public.orders(pg_sleep) read # calls pg_sleep, written as a column

SELECT (1.0::float8).pg_sleep
=> irreversible select; call database # reads the field pg_sleep of a value, or calls a function of that name

SELECT (o).lo_unlink FROM orders o
=> irreversible select; call database; select public.orders(*) read # reads the field lo_unlink of a value, or calls a function of that name

SELECT 'x'::mood
=> irreversible select; call database # has the type mood

SELECT CAST(1 AS public.money)
=> irreversible select; call database # has the type public.money

SELECT '(1,2)'::orders
=> irreversible select; call database # has the type orders

SELECT a OPERATOR(public.+) b FROM t
=> irreversible select; call database; select public.t(a,b) read # uses the operator public.+

SELECT a <<<>>> b FROM t
=> irreversible select; call database; select public.t(a,b) read # uses the operator <<<>>>

SELECT * FROM orders ORDER BY id USING <<<
=> irreversible select; call database; select public.orders(*) read # uses the operator <<<

SELECT * FROM orders TABLESAMPLE public.mine (1)
=> irreversible select; call database; select public.orders(*) read # samples by a method that is not known

SELECT * FROM json_to_recordset('[]') AS x(a mood)
=> irreversible select; call database # has the type mood

SELECT a FROM t WHERE a OPERATOR(public.=) ANY (ARRAY[1])
=> irreversible select; call database; select public.t(a) read # uses the operator public.=

SELECT a FROM t WHERE a OPERATOR(public.=) ANY (SELECT 1)
=> irreversible select; call database; select public.t(a) read # uses the operator public.=

CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
=> irreversible create; create database # is a CreateFunction

CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
=> irreversible create; create database # is a CreateFunction

CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'
=> irreversible create; create database # is a CreateFunction

CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION f()
=> irreversible create; create database # is a CreateTrig

CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION f()
=> irreversible create; create database # is a CreateEventTrig

CREATE RULE r AS ON SELECT TO orders DO INSTEAD SELECT 1
=> irreversible create; create database # is a Rule

CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM customers
=> irreversible create; create database # is a Rule

CREATE VIEW v AS SELECT id FROM orders
=> irreversible create; create database # is a View

CREATE OR REPLACE VIEW v AS SELECT id FROM orders
=> irreversible create; create database # is a View

CREATE EXTENSION dblink
=> irreversible create; create database # is a CreateExtension

CREATE LANGUAGE plpython3u
=> irreversible create; create database # is a CreateExtension

CREATE ROLE x SUPERUSER
=> irreversible create; create database # is a CreateRole

CREATE DATABASE x
=> irreversible create; create database # is a Createdb

CREATE SERVER s FOREIGN DATA WRAPPER w
=> irreversible create; create database # is a CreateForeignServer

CREATE USER MAPPING FOR me SERVER s
=> irreversible create; create database # is a CreateUserMapping

CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p
=> irreversible create; create database # is a CreateSubscription

CREATE PUBLICATION p FOR ALL TABLES
=> irreversible create; create database # is a CreatePublication

CREATE POLICY p ON orders USING (true)
=> irreversible create; create database # is a CreatePolicy

CREATE OPERATOR + (FUNCTION = f, LEFTARG = int)
=> irreversible create; create database # is a Define

CREATE CAST (int AS text) WITH FUNCTION f(int)
=> irreversible create; create database # is a CreateCast

CREATE AGGREGATE a (int) (SFUNC = f, STYPE = int)
=> irreversible create; create database # is a Define

CREATE DOMAIN d AS int CHECK (f(VALUE))
=> irreversible create; create database # is a CreateDomain

CREATE TABLE t PARTITION OF orders FOR VALUES IN (1)
=> irreversible create; create database # is a Create

CREATE TABLE t () INHERITS (orders)
=> irreversible create; create database # is a Create

CREATE TABLE t (id int DEFAULT f())
=> irreversible create; call database; create public.t() write # makes a table, calls f

CREATE TABLE t (id int, EXCLUDE USING gist (id WITH &&))
=> irreversible create; call database; create public.t() write # makes a table, has options that are not known

CREATE TABLE t (LIKE orders INCLUDING ALL)
=> irreversible create; call database; create public.t() write # makes a table, has a TableLikeClause, which is not known to only read, has a RangeVar, which is not known to only read

CREATE TABLE t AS SELECT f()
=> irreversible create; call database; create public.t() write # makes a table, calls f

CREATE TABLE t AS EXECUTE p
=> irreversible create; execute database; create public.t() write # makes a table, runs what was prepared as p

CREATE INDEX i ON orders (f(id))
=> irreversible create; call database; create public.orders() write; select public.orders(id) read # makes an index, calls f

CREATE INDEX i ON orders USING mine (id)
=> irreversible create; call database; create public.orders() write # makes an index, makes an index by a method that is not known

CREATE INDEX i ON orders (id my_ops)
=> irreversible create; call database; create public.orders() write # makes an index, names an operator class

CREATE SCHEMA s CREATE TABLE t (a int)
=> irreversible create; create database # is a CreateSchema

CREATE SCHEMA AUTHORIZATION me
=> irreversible create; create database # is a CreateSchema

CREATE SEQUENCE s OWNED BY orders.id
=> irreversible create; create database; create public.s() write # makes a sequence, makes a sequence with options

CREATE TABLESPACE t LOCATION '/tmp'
=> irreversible create; create database # is a CreateTableSpace

CREATE ACCESS METHOD m TYPE TABLE HANDLER f
=> irreversible create; create database # is a CreateAm

CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION f(internal))
=> irreversible create; create database # is a CreateTransform

CREATE TYPE t AS (a int)
=> irreversible create; create database # is a CompositeType

CREATE TYPE t (INPUT = f, OUTPUT = g)
=> irreversible create; create database # is a Define

CREATE STATISTICS s ON a, b FROM t
=> irreversible create; create database # is a CreateStats

CREATE FOREIGN TABLE t (a int) SERVER s
=> irreversible create; create database # is a CreateForeignTable

CREATE COLLATION c FROM "C"
=> irreversible create; create database # is a Define

CREATE CONVERSION c FOR 'UTF8' TO 'LATIN1' FROM f
=> irreversible create; create database # is a CreateConversion

CREATE TEXT SEARCH CONFIGURATION c (COPY = simple)
=> irreversible create; create database # is a Define

IMPORT FOREIGN SCHEMA s FROM SERVER x INTO public
=> irreversible create; create database # is a ImportForeignSchema

COMMENT ON TABLE orders IS 'x'
=> irreversible alter; alter database # is a Comment

SECURITY LABEL ON TABLE orders IS 'x'
=> irreversible alter; alter database # is a SecLabel

REASSIGN OWNED BY a TO b
=> irreversible drop; drop database # is a ReassignOwned

REFRESH MATERIALIZED VIEW v
=> irreversible upkeep; upkeep database # is a RefreshMatView

VACUUM
=> irreversible upkeep; upkeep database # is a Vacuum

VACUUM FULL orders
=> irreversible upkeep; upkeep database # is a Vacuum

ANALYZE
=> irreversible upkeep; upkeep database # is a Vacuum

REINDEX TABLE orders
=> irreversible upkeep; upkeep database # is a Reindex

CLUSTER orders
=> irreversible upkeep; upkeep database # is a Cluster

CHECKPOINT
=> irreversible upkeep; upkeep database # is a CheckPoint

SET ROLE postgres
=> irreversible set; set database # changes the setting role

SET SESSION AUTHORIZATION postgres
=> irreversible set; set database # changes the setting session_authorization

RESET ROLE
=> irreversible set; set database # changes the setting role

RESET SESSION AUTHORIZATION
=> irreversible set; set database # changes the setting session_authorization

SET search_path = evil, public
=> irreversible set; set database # changes the setting search_path

SET default_transaction_read_only = off
=> irreversible set; set database # changes the setting default_transaction_read_only

SET transaction_read_only = off
=> irreversible set; set database # changes the setting transaction_read_only

SET TRANSACTION READ WRITE
=> irreversible set; set database # changes the setting TRANSACTION

SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
=> irreversible set; set database # changes the setting SESSION CHARACTERISTICS

SET TRANSACTION SNAPSHOT '00000003-0000001B-1'
=> irreversible set; set database # changes the setting TRANSACTION SNAPSHOT

BEGIN READ WRITE
=> irreversible transaction; transaction database # begins a transaction that may write

START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE
=> irreversible transaction; transaction database # begins a transaction that may write

BEGIN READ ONLY READ WRITE
=> irreversible transaction; transaction database # begins a transaction that may write

SET standard_conforming_strings = off
=> irreversible set; set database # changes the setting standard_conforming_strings

SET client_encoding = 'SJIS'
=> irreversible set; set database # changes the setting client_encoding

SET backslash_quote = on
=> irreversible set; set database # changes the setting backslash_quote

SET session_replication_role = replica
=> irreversible set; set database # changes the setting session_replication_role

SET row_security = off
=> irreversible set; set database # changes the setting row_security

SET statement_timeout = 0
=> irreversible set; set database # changes the setting statement_timeout

SET LOCAL statement_timeout TO DEFAULT
=> irreversible set; set database # changes the setting statement_timeout

SET idle_in_transaction_session_timeout = 0
=> irreversible set; set database # changes the setting idle_in_transaction_session_timeout

SET work_mem = '10GB'
=> irreversible set; set database # changes the setting work_mem

SET lo_compat_privileges = on
=> irreversible set; set database # changes the setting lo_compat_privileges

SET "ROLE" = 'postgres'
=> irreversible set; set database # changes the setting ROLE

SET my.thing = 'x'
=> irreversible set; set database # changes the setting my.thing

SET client_encoding TO DEFAULT
=> irreversible set; set database # changes the setting client_encoding

SET application_name FROM CURRENT
=> irreversible set; set database # changes the setting application_name

PREPARE TRANSACTION 'x'
=> irreversible transaction; transaction database # is about a prepared transaction

COMMIT PREPARED 'x'
=> irreversible transaction; transaction database # is about a prepared transaction

ROLLBACK PREPARED 'x'
=> irreversible transaction; transaction database # is about a prepared transaction

SELECT * FROM f(1)
=> irreversible select; call database # calls f

SELECT * FROM ROWS FROM (generate_series(1, 2), f(3)) AS x
=> irreversible select; call database # calls f

SELECT CASE WHEN f() THEN 1 END
=> irreversible select; call database # calls f

SELECT ARRAY(SELECT f())
=> irreversible select; call database # calls f

SELECT 1 LIMIT (SELECT f())
=> irreversible select; call database # calls f

SELECT 1 OFFSET f()
=> irreversible select; call database # calls f

VALUES (f())
=> irreversible select; call database # calls f

SELECT count(*) FILTER (WHERE f()) FROM t
=> irreversible select; call database; select public.t() read # calls f

SELECT sum(a) OVER (ORDER BY f()) FROM t
=> irreversible select; call database; select public.t(a) read # calls f

SELECT a FROM t GROUP BY f()
=> irreversible select; call database; select public.t(a) read # calls f

SELECT a FROM t JOIN u ON f()
=> irreversible select; call database; select public.t(a) read; select public.u(a) read # calls f

SELECT XMLELEMENT(name a, f())
=> irreversible select; call database # calls f

SELECT XMLSERIALIZE(CONTENT f() AS text)
=> irreversible select; call database # calls f

SELECT JSON_OBJECT('a': f())
=> irreversible select; call database # calls f

SELECT JSON_VALUE(d, '$' RETURNING mood) FROM docs
=> irreversible select; call database; select public.docs(d) read # has the type mood

SELECT * FROM XMLTABLE('/r' PASSING f() COLUMNS a int)
=> irreversible select; call database # calls f

SELECT * FROM JSON_TABLE(f(), '$' COLUMNS (a int))
=> irreversible select; call database # calls f

SELECT t.a[f()] FROM t
=> irreversible select; call database; select public.t(a) read # calls f

INSERT INTO t (a[f()]) VALUES (1)
=> irreversible insert; call database; insert public.t(a) write # adds rows, calls f

SELECT f(variadic ARRAY[1])
=> irreversible select; call database # calls f

SELECT "F"(1)
=> irreversible select; call database # calls F

SELECT U&"\0066"(1)
=> irreversible select; call database # calls f

SELECT pg_catalog.pg_sleep(1)
=> irreversible select; call database # calls pg_catalog.pg_sleep

SELECT "pg_catalog"."pg_read_file"('x')
=> irreversible select; call database # calls pg_catalog.pg_read_file

SELECT nextval('s') FROM f()
=> irreversible select; call database # calls f, calls nextval

SELECT has_table_privilege(f(), 'x')
=> irreversible select; call database # calls f

WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT f() FROM x) SELECT * FROM x
=> irreversible select; call database # calls f

UPDATE orders SET total = f() WHERE id = 1
=> irreversible update; call database; select public.orders(id) read; update public.orders(total) write # changes rows, calls f

UPDATE orders SET total = 1 WHERE id = f()
=> irreversible update; call database; select public.orders(id) read; update public.orders(total) write # changes rows, calls f

INSERT INTO orders (id) VALUES (1) ON CONFLICT (f(id)) DO NOTHING
=> irreversible insert; call database; insert public.orders(id) write; select public.orders(id) read # adds rows, calls f

INSERT INTO orders (id) VALUES (1) RETURNING f()
=> irreversible insert; call database; insert public.orders(id) write # adds rows, calls f

