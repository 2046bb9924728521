SELECT * FROM orders, LATERAL f(1)
=> irreversible select; call database; select public.orders(*) read # calls f

SELECT (SELECT f(1) FROM orders LIMIT 1)
=> irreversible select; call database; select public.orders() read # calls f

WITH x AS (SELECT id FROM orders FOR NO KEY UPDATE) SELECT 1
=> write select; lock public.orders(); select public.orders(id) read # locks rows

SELECT EXISTS (SELECT 1 FROM orders FOR SHARE)
=> write select; lock public.orders(); select public.orders() read # locks rows

DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders FOR UPDATE
=> write declare; lock public.orders(); select public.orders(id) read # locks rows

PREPARE p AS SELECT f()
=> irreversible prepare; call database # calls f

PREPARE p (mood) AS SELECT $1
=> irreversible prepare; call database # has the type mood

COPY orders TO STDIN
=> read copy; select public.orders(*)

COPY orders FROM STDOUT
=> write copy; insert public.orders(*) # adds rows

COPY (INSERT INTO orders (id) VALUES (99) RETURNING id) TO STDOUT
=> write copy; insert public.orders(id); select public.orders(id) read # adds rows

VALUES ((SELECT f(1)))
=> irreversible select; call database # calls f

BEGIN; SET TRANSACTION READ WRITE; DELETE FROM orders
=> read transaction
=> irreversible set; set database # changes the setting TRANSACTION
=> irreversible delete; delete public.orders(*) # deletes rows

SELECT pg_catalog . /* x */ pg_sleep /* y */ (0)
=> irreversible select; call database # calls pg_catalog.pg_sleep

SELECT PG_SLEEP(0), "pg_sleep"(0), U&"pg\005fsleep"(0)
=> irreversible select; call database # calls pg_sleep

SELECT "PG_CATALOG".lower('x')
=> irreversible select; call database # calls PG_CATALOG.lower

SELECT shop.pg_catalog.lower('x')
=> irreversible select; call database # calls shop.pg_catalog.lower

SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbb FROM aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbb
=> read select; select public.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa(*)

SET LOCAL ROLE postgres
=> irreversible set; set database # changes the setting role

SET SESSION ROLE 'postgres'
=> irreversible set; set database # changes the setting role

SET role TO DEFAULT
=> irreversible set; set database # changes the setting role

SET session_authorization = 'postgres'
=> irreversible set; set database # changes the setting session_authorization

SET SESSION SESSION AUTHORIZATION DEFAULT
=> irreversible set; set database # changes the setting session_authorization

SET LOCAL search_path TO evil
=> irreversible set; set database # changes the setting search_path

SET SCHEMA 'evil'
=> irreversible set; set database # changes the setting search_path

SET SEED TO 0.5
=> irreversible set; set database # changes the setting seed

SET XML OPTION DOCUMENT
=> read set

SET NAMES 'LATIN1'
=> irreversible set; set database # changes the setting client_encoding

SET NAMES
=> irreversible set; set database # changes the setting client_encoding

SET TIME ZONE LOCAL
=> read set

SET TIME ZONE INTERVAL '1' HOUR
=> read set

SET default_transaction_read_only = true
=> read set

SET default_transaction_read_only = 0
=> irreversible set; set database # changes the setting default_transaction_read_only

SET default_transaction_read_only TO DEFAULT
=> irreversible set; set database # changes the setting default_transaction_read_only

RESET default_transaction_read_only
=> irreversible set; set database # changes the setting default_transaction_read_only

RESET search_path
=> irreversible set; set database # changes the setting search_path

RESET TRANSACTION ISOLATION LEVEL
=> read set

ALTER VIEW v RENAME TO w
=> irreversible alter; alter public.v(*) # cannot be undone

ALTER SEQUENCE s RESTART
=> irreversible alter; alter database # is a AlterSeq

ALTER INDEX i RENAME TO j
=> irreversible alter; alter public.i(*) # cannot be undone

ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b
=> irreversible alter; alter database # is a AlterTableMoveAll

ALTER FUNCTION f() OWNER TO x
=> irreversible alter; alter database # is a AlterOwner

ALTER TABLE orders OWNER TO me
=> irreversible alter; alter public.orders(*) # cannot be undone

ALTER TABLE orders SET SCHEMA s
=> irreversible alter; alter public.orders(*) # cannot be undone

ALTER TABLE orders DISABLE ROW LEVEL SECURITY
=> irreversible alter; alter public.orders(*) # cannot be undone

ALTER USER me SET default_transaction_read_only = off
=> irreversible alter; alter database # is a AlterRoleSet

ALTER EXTENSION dblink UPDATE
=> irreversible alter; alter database # is a AlterExtension

ALTER TYPE mood ADD VALUE 'x'
=> irreversible alter; alter database # is a AlterEnum

DROP ROUTINE f
=> irreversible drop; drop database # removes objects, may remove more than it names

DROP TABLE pg_catalog.pg_class
=> irreversible drop; drop pg_catalog.pg_class(*) # removes objects

SELECT json_populate_record(NULL::orders, '{}')
=> irreversible select; call database # has the type orders

SELECT a FROM t GROUP BY CUBE (a, f())
=> irreversible select; call database; select public.t(a) read # calls f

SELECT a FROM t FETCH FIRST (f()) ROWS ONLY
=> irreversible select; call database; select public.t(a) read # calls f

SELECT sum(a) OVER (ORDER BY b ROWS f() PRECEDING) FROM t
=> irreversible select; call database; select public.t(a,b) read # calls f

SELECT DISTINCT ON (f()) a FROM t
=> irreversible select; call database; select public.t(a) read # calls f

UPDATE orders SET (total, city) = (SELECT f(), 'x') WHERE id = 1
=> irreversible update; call database; select public.orders(id) read; update public.orders(city,total) write # changes rows, calls f

UPDATE orders SET total = DEFAULT WHERE id = 1 RETURNING (SELECT f())
=> irreversible update; call database; select public.orders(id) read; update public.orders(total) write # changes rows, calls f

INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET total = f()
=> irreversible insert; call database; insert public.orders(id) write; select public.orders(id) read; update public.orders(total) write # adds rows, changes rows, calls f

INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) WHERE f() = 1 DO NOTHING
=> irreversible insert; call database; insert public.orders(id) write; select public.orders(id) read # adds rows, calls f

INSERT INTO orders (id) VALUES (1) ON CONFLICT (id my_ops) DO NOTHING
=> irreversible insert; call database; insert public.orders(id) write; select public.orders(id) read # adds rows, names an operator class

INSERT INTO orders (id) VALUES (1) ON CONFLICT ON CONSTRAINT orders_pkey DO UPDATE SET total = orders.total + excluded.total
=> write insert; insert public.orders(id); select public.orders(total) read; update public.orders(total) # adds rows, changes rows

SELECT * FROM JSON_TABLE('{}', '$' PASSING f() AS x COLUMNS (a int PATH '$.a' DEFAULT f() ON EMPTY))
=> irreversible select; call database # calls f

SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (NESTED PATH '$.b' COLUMNS (c mood PATH '$.c')))
=> irreversible select; call database # has the type mood

SELECT * FROM XMLTABLE(XMLNAMESPACES('u' AS x), '/r' PASSING ('<r/>'::xml) COLUMNS a int DEFAULT f())
=> irreversible select; call database # calls f

SELECT * FROM orders TABLESAMPLE system (f()) REPEATABLE (1)
=> irreversible select; call database; select public.orders(*) read # calls f

SELECT * FROM orders TABLESAMPLE system (1) REPEATABLE (f())
=> irreversible select; call database; select public.orders(*) read # calls f

WITH RECURSIVE g(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM g WHERE id < 3) SEARCH DEPTH FIRST BY id SET o CYCLE id SET c USING p SELECT * FROM g
=> read select

SELECT a[1:f()] FROM t
=> irreversible select; call database; select public.t(a) read # calls f

SELECT NOT f()::bool, f() IS NULL, f() IS TRUE, f() IS DOCUMENT
=> irreversible select; call database # calls f

SELECT (f()).x, (f()).*, (ROW(f())).f1
=> irreversible select; call database # reads the field x of a value, or calls a function of that name, calls f, reads the field f1 of a value, or calls a function of that name

SELECT make_interval(days => f())
=> irreversible select; call database # calls f

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f()) FROM t
=> irreversible select; call database; select public.t() read # calls f

SELECT a LIKE 'x' ESCAPE f() FROM t
=> irreversible select; call database; select public.t(a) read # calls f

SELECT a BETWEEN SYMMETRIC f() AND 1 FROM t
=> irreversible select; call database; select public.t(a) read # calls f

SELECT 1 IN (2, f())
=> irreversible select; call database # calls f

SELECT f() AT TIME ZONE 'UTC'
=> irreversible select; call database # calls f

SELECT CURRENT_CATALOG, CURRENT_SCHEMA, SESSION_USER, LOCALTIME(2)
=> read select

MERGE INTO orders USING staging ON orders.id = staging.id WHEN MATCHED AND f() = 1 THEN DO NOTHING
=> irreversible merge; call database; lock public.orders() write; select public.orders(id) read; select public.staging(id) read # calls f

MERGE INTO orders USING staging ON orders.id = staging.id WHEN MATCHED THEN DO NOTHING
=> write merge; lock public.orders(); select public.orders(id) read; select public.staging(id) read

MERGE INTO orders USING (SELECT f() AS id) s ON orders.id = s.id WHEN NOT MATCHED THEN INSERT DEFAULT VALUES
=> irreversible merge; call database; insert public.orders(*) write; select public.orders(id) read # calls f, adds rows

MERGE INTO orders USING staging s ON orders.id = 1 WHEN NOT MATCHED BY SOURCE THEN UPDATE SET total = 0
=> irreversible merge; select public.orders(id) read; update public.orders(total); select public.staging() read # changes rows

CREATE TABLE made (a int GENERATED ALWAYS AS (f()) STORED)
=> irreversible create; call database; create public.made() write # makes a table, calls f

CREATE TABLE made (a int DEFAULT nextval('s'))
=> write create; call database; create public.made() # makes a table, calls nextval

CREATE TABLE made (a mood)
=> irreversible create; call database; create public.made() write # makes a table, has the type mood

CREATE TABLE made (a int GENERATED BY DEFAULT AS IDENTITY (START 5))
=> irreversible create; call database; create public.made() write # makes a table, has options that are not known

CREATE TABLE made (a int) PARTITION BY RANGE (f(a))
=> irreversible create; call database; create public.made() write # makes a table, calls f

CREATE TABLE pg_temp.orders (a int)
=> irreversible create; create pg_temp.orders() # makes a table

CREATE TABLE IF NOT EXISTS pg_catalog.x (a int)
=> irreversible create; create pg_catalog.x() # makes a table

CREATE TABLE made AS SELECT 1 WITH NO DATA
=> write create; create public.made() # makes a table

CREATE TABLE made USING heap AS TABLE orders
=> write create; create public.made(); select public.orders(*) read # makes a table

EXPLAIN ANALYZE EXECUTE p
=> irreversible explain; execute database # runs what was prepared as p

EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT f()
=> irreversible explain; call database # calls f

EXPLAIN (ANALYZE) CREATE MATERIALIZED VIEW v AS SELECT 1
=> write explain; create public.v() # makes a table

EXPLAIN CREATE TABLE made AS SELECT id FROM orders
=> read explain; select public.made(); select public.orders(id)

EXPLAIN SELECT lies()
=> irreversible explain; call database # calls lies

EXPLAIN (ANALYZE 0) DELETE FROM orders
=> read explain; select public.orders(*)

EXPLAIN (ANALYZE OFF, ANALYZE) DELETE FROM orders
=> irreversible explain; delete public.orders(*) # deletes rows

EXPLAIN ("analyze") DELETE FROM orders
=> irreversible explain; delete public.orders(*) # deletes rows

EXPLAIN ("ANALYZE" off) DELETE FROM orders
=> read explain; select public.orders(*)

WITH f AS (SELECT 1) SELECT f(1)
=> irreversible select; call database # calls f

WITH orders AS (SELECT 1) SELECT * FROM public.orders
=> read select; select public.orders(*)

WITH a AS (SELECT * FROM b), b AS (SELECT 1 AS x) SELECT * FROM a
=> read select; select public.b(*)

WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1 AS x) SELECT * FROM a
=> read select

SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) q, x
=> read select; select public.x(*)

SELECT (WITH orders AS (SELECT 1 AS n) SELECT n FROM orders), id FROM orders
=> read select; select public.orders(id,n)

WITH orders AS (SELECT 1) DELETE FROM orders
=> irreversible delete; delete public.orders(*) # deletes rows

WITH orders AS (SELECT 1) UPDATE orders SET total = 1 WHERE id = 1
=> write update; select public.orders(id) read; update public.orders(total) # changes rows

(WITH x AS (SELECT 1) SELECT * FROM x) UNION SELECT * FROM x
=> read select; select public.x(*)

WITH x AS (SELECT 1) (SELECT * FROM x) UNION ALL (WITH x AS (SELECT id FROM orders) SELECT * FROM x)
=> read select; select public.orders(id)

WITH RECURSIVE x AS (DELETE FROM orders RETURNING id) SELECT * FROM x
=> irreversible select; delete public.orders(*); select public.orders(id) read # deletes rows

WITH x AS NOT MATERIALIZED (SELECT f()) SELECT 1
=> irreversible select; call database # calls f

SELECT o FROM (SELECT * FROM orders) o
=> read select; select public.orders(*)

SELECT orders.* FROM orders
=> read select; select public.orders(*)

SELECT (orders).* FROM orders
=> read select; select public.orders(*)

SELECT orders::text FROM orders
=> read select; select public.orders(*)

SELECT count(orders) FROM orders WHERE orders IS NOT NULL GROUP BY orders ORDER BY orders
=> read select; select public.orders(*)

SELECT id FROM orders o(id, secret)
=> read select; select public.orders(*)

SELECT orders.id, x.id FROM orders x, customers orders
=> read select; select public.customers(id); select public.orders(id)

SELECT j.a FROM (orders JOIN customers USING (city)) AS j(a)
=> read select; select public.customers(*); select public.orders(*)

SELECT u.city FROM orders JOIN customers USING (city) AS u
=> read select; select public.customers(city); select public.orders(city)

SELECT id AS secret FROM orders ORDER BY secret
=> read select; select public.orders(id)

SELECT id AS secret FROM orders ORDER BY secret || ''
=> read select; select public.orders(id,secret)

SELECT id AS secret FROM orders GROUP BY secret
=> read select; select public.orders(id,secret)

SELECT tableoid, ctid, xmin FROM orders
=> read select; select public.orders(ctid,tableoid,xmin)

SELECT nothing.id FROM orders
=> read select; select public.orders(*)

SELECT s.id FROM orders o, LATERAL (SELECT o.total) s, (SELECT id FROM customers o) q
=> read select; select public.customers(id); select public.orders(total)

SELECT o.id FROM orders o, (SELECT o.name FROM customers o) q
=> read select; select public.customers(name); select public.orders(id)

SELECT id FROM customers c WHERE id = (SELECT c.customer_id FROM orders c WHERE c.id = 1)
=> read select; select public.customers(id); select public.orders(customer_id,id)

INSERT INTO orders AS new SELECT new.id FROM staging new
=> write insert; insert public.orders(*); select public.staging(id) read # adds rows

UPDATE orders AS staging SET total = 1 FROM staging AS x WHERE staging.id = 1
=> write update; select public.orders(id) read; update public.orders(total); select public.staging() read # changes rows

UPDATE orders SET total = 1 FROM staging WHERE id = 1
=> irreversible update; select public.orders(id) read; update public.orders(total); select public.staging(id) read # changes rows, changes rows without a condition that narrows them

UPDATE orders o SET total = 1 WHERE orders.id = 1
=> irreversible update; select public.orders(*) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE orders.id = 1 AND (SELECT true)
=> write update; select public.orders(id) read; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE id = 1 OR id = id
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE (id = 1 OR true) AND (true OR id = 2)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE id = ANY(SELECT id FROM todo)
=> irreversible update; select public.orders(id) read; update public.orders(total); select public.todo(id) read # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE id IN (SELECT id FROM orders WHERE true)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE id IN (SELECT id FROM orders WHERE city = 'x')
=> write update; select public.orders(city,id) read; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE NOT (id = 1)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE id IS DISTINCT FROM 1
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE id NOT IN (1)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE CASE WHEN id = 1 THEN true ELSE true END
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE coalesce(id = 1, true)
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE id = $1 OR $2
=> irreversible update; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE id OPERATOR(public.=) 1
=> irreversible update; call database; select public.orders(id) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them, uses the operator public.=

LOCK orders, customers
=> write lock; lock public.customers(); lock public.orders() # locks tables

LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE
=> irreversible lock; lock pg_catalog.pg_class() # locks tables

NOTIFY news
=> write notify; notify database # sends a message to others

SELECT * FROM pg_largeobject
=> read select; select pg_catalog.pg_largeobject(*)

SELECT lo_get(4711)
=> irreversible select; call database # calls lo_get

SELECT loread(0, 1)
=> irreversible select; call database # calls loread

SELECT dblink_connect('x'), dblink_exec('x', 'DELETE FROM orders')
=> irreversible select; call database # calls dblink_connect, calls dblink_exec

SELECT pg_notify('news', 'x') FROM orders
=> write select; call database; select public.orders() read # calls pg_notify

SELECT pg_ls_logdir(), pg_rotate_logfile()
=> irreversible select; call database # calls pg_ls_logdir, calls pg_rotate_logfile

SELECT pg_stat_reset_single_table_counters(1)
=> irreversible select; call database # calls pg_stat_reset_single_table_counters

SELECT pg_replication_origin_create('x')
=> irreversible select; call database # calls pg_replication_origin_create

SELECT pg_drop_replication_slot('x')
=> irreversible select; call database # calls pg_drop_replication_slot

SELECT pg_wal_replay_pause(), pg_promote()
=> irreversible select; call database # calls pg_wal_replay_pause, calls pg_promote

SELECT pg_import_system_collations('public')
=> irreversible select; call database # calls pg_import_system_collations

SELECT pg_extension_config_dump('orders', '')
=> irreversible select; call database # calls pg_extension_config_dump

SELECT currtid2('orders', '(0,1)')
=> irreversible select; call database # calls currtid2

SELECT binary_upgrade_create_empty_extension('a', 'b', false, 'c', NULL, NULL, NULL)
=> irreversible select; call database # calls binary_upgrade_create_empty_extension

SELECT brin_summarize_new_values('i'), gin_clean_pending_list('i')
=> irreversible select; call database # calls brin_summarize_new_values, calls gin_clean_pending_list

SELECT pg_log_backend_memory_contexts(1)
=> irreversible select; call database # calls pg_log_backend_memory_contexts

SELECT xmlparse(document '<a/>')
=> read select

SELECT domain_in('1', 1, 1), record_in('(1)', 1, 1), array_in('{}', 1, 1)
=> irreversible select; call database # calls domain_in, calls record_in, calls array_in

SELECT plpgsql_inline_handler(NULL)
=> irreversible select; call database # calls plpgsql_inline_handler

SELECT fmgr_sql_validator(1)
=> irreversible select; call database # calls fmgr_sql_validator

SELECT ('1'::text).f
=> irreversible select; call database # reads the field f of a value, or calls a function of that name

SELECT ('orders'::regclass).lo_unlink
=> irreversible select; call database # reads the field lo_unlink of a value, or calls a function of that name

SELECT array_agg(o ORDER BY o <<<>>> 1) FROM t AS g(o)
=> irreversible select; call database; select public.t(*) read # uses the operator <<<>>>

SELECT a FROM t WHERE (a, b) OPERATOR(public.=) (1, 2)
=> irreversible select; call database; select public.t(a,b) read # uses the operator public.=

SELECT -(-1), +1, @ -5, !! 'a'::tsquery
=> read select

SELECT a ? 'x' FROM docs
=> read select; select public.docs(a)

SELECT 'a' || E'\\' || '; DELETE FROM orders; --'
=> read select

SELECT '$$; DELETE FROM orders; $$'
=> read select

SELECT 1 AS "; DELETE FROM orders; --"
=> read select

SELECT 1 -- \
; DELETE FROM orders
=> read select
=> irreversible delete; delete public.orders(*) # deletes rows

SELECT /* /* */ ; DELETE FROM orders; */ 1
=> read select

SELECT $q$ $$ ; DELETE FROM orders; $$ $q$
=> read select

CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM orders; SELECT 1; END
=> irreversible create; create database # is a CreateFunction

do 'begin delete from orders; end'
=> irreversible do; do database # is a Do

select 1; ; ; do $$ begin end $$
=> read select
=> irreversible do; do database # is a Do

SELECT id INTO TEMP made FROM orders
=> irreversible select; create pg_temp.made(); select public.orders(id) read # makes a table of what it selects

SELECT * INTO UNLOGGED made FROM orders
=> write select; create public.made(); select public.orders(*) read # makes a table of what it selects

TABLE orders FOR UPDATE
=> write select; lock public.orders(); select public.orders(*) read # locks rows

VALUES (1) FOR UPDATE
=> irreversible select; call database # locks rows, locks rows of what is not known

SELECT 1 UNION SELECT id FROM orders FOR UPDATE
=> irreversible select; call database; select public.orders(id) read # locks rows, locks rows of what is not known

FETCH ALL FROM "c;DELETE"
=> read fetch

CALL p(1); SELECT 1
=> irreversible call; call database # is a Call, calls p
=> read select

SHOW "search_path; DROP TABLE orders"
=> read show

SELECT current_setting('data_directory')
=> read select

SELECT set_config('role', 'postgres', true)
=> irreversible select; call database # calls set_config

EXECUTE p (1, f())
=> irreversible execute; call database; execute database # calls f, runs what was prepared as p

DEALLOCATE PREPARE ALL
=> read deallocate

LISTEN "x"; UNLISTEN "x"
=> read listen
=> read listen

REFRESH MATERIALIZED VIEW CONCURRENTLY v
=> irreversible upkeep; upkeep database # is a RefreshMatView

ANALYZE (VERBOSE) orders
=> irreversible upkeep; upkeep database # is a Vacuum

GRANT pg_read_all_data TO me
=> irreversible grant; grant database # is a GrantRole

GRANT SET ON PARAMETER work_mem TO me
=> irreversible grant; grant database # is a Grant

REVOKE GRANT OPTION FOR SELECT (id) ON orders FROM x
=> irreversible grant; grant public.orders(*) # cannot be undone

CREATE UNLOGGED TABLE made (a int)
=> write create; create public.made() # makes a table

CREATE UNIQUE INDEX CONCURRENTLY i ON orders USING btree (id) WITH (fillfactor = 50)
=> irreversible create; call database; create public.orders() write # makes an index, makes an index with options

IMPORT FOREIGN SCHEMA a LIMIT TO (b) FROM SERVER c INTO d
=> irreversible create; create database # is a ImportForeignSchema

SELECT (1).f
=> irreversible select; call database # reads the field f of a value, or calls a function of that name

SELECT (t.id).f FROM t
=> irreversible select; call database; select public.t(id) read # reads the field f of a value, or calls a function of that name

SELECT ((SELECT 1)).f
=> irreversible select; call database # reads the field f of a value, or calls a function of that name

SELECT (o).f.g FROM orders o
=> irreversible select; call database; select public.orders(*) read # reads the field f of a value, or calls a function of that name, reads the field g of a value, or calls a function of that name

SELECT ('1'::text).lower
=> read select

SELECT (jsonb_each(data)).key FROM docs
=> irreversible select; call database; select public.docs(data) read # reads the field key of a value, or calls a function of that name

SELECT (jsonb_each(data)).* FROM docs
=> read select; select public.docs(data)

COPY orders FROM STDIN WHERE f() = 1
=> irreversible copy; call database; insert public.orders(*) write # adds rows, calls f

SELECT fmgr_c_validator(1)
=> irreversible select; call database # calls fmgr_c_validator

DELETE FROM orders WHERE paid BETWEEN false AND (true = (total > 1))
=> irreversible delete; delete public.orders(*); select public.orders(paid,total) read # deletes rows

UPDATE orders SET total = 1 WHERE (total > id) IN (true)
=> irreversible update; select public.orders(id,total) read; update public.orders(total) # changes rows, changes rows without a condition that narrows them

UPDATE orders SET total = 1 WHERE CURRENT OF "A cursor"
=> write update; update public.orders(total) # changes rows

EXPLAIN (ANALYZE) CREATE TABLE t2 AS EXECUTE p
=> irreversible explain; execute database; create public.t2() write # makes a table, runs what was prepared as p

FETCH ALL FROM p
=> read fetch

MOVE BACKWARD ALL IN "P q"
=> read fetch

SELECT '{7}'::careful[]
=> irreversible select; call database # has the type careful

COPY orders (id) FROM STDIN WITH (FORMAT csv)
=> write copy; insert public.orders(id) # adds rows

SET SESSION search_path TO pg_temp, public
=> irreversible set; set database # changes the setting search_path

SET SCHEMA 'x'
=> irreversible set; set database # changes the setting search_path

SET LOCAL ROLE NONE
=> irreversible set; set database # changes the setting role

SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
=> irreversible set; set database # changes the setting SESSION CHARACTERISTICS

SELECT * FROM (SELECT id FROM orders) q FOR UPDATE
=> write select; lock public.orders(); select public.orders(id) read # locks rows

SELECT * FROM (SELECT id FROM (TABLE orders) r) q FOR SHARE OF q
=> write select; lock public.orders(); select public.orders(*) read # locks rows

SELECT * FROM (customers c JOIN (SELECT id FROM orders) q USING (id)) AS j FOR NO KEY UPDATE
=> write select; lock public.customers(); select public.customers(*) read; lock public.orders(); select public.orders(id) read # locks rows

SELECT (SELECT id FROM (SELECT id FROM orders LIMIT 1) z FOR KEY SHARE)
=> write select; lock public.orders(); select public.orders(id) read # locks rows

DECLARE c CURSOR FOR SELECT 1 FROM generate_series(1, 2), (SELECT id FROM orders) q FOR UPDATE
=> write declare; lock public.orders(); select public.orders(id) read # locks rows

INSERT INTO orders (id, total) SELECT id, 0 FROM orders ON CONFLICT (id) DO UPDATE SET total = 0
=> irreversible insert; insert public.orders(id,total) write; select public.orders(id) read; update public.orders(total) # adds rows, changes rows, changes rows without a condition that narrows them

INSERT INTO orders (id) TABLE staging ON CONFLICT (id) DO UPDATE SET total = 0 WHERE excluded.id = 5
=> irreversible insert; insert public.orders(id) write; select public.orders(id) read; update public.orders(total); select public.staging(*) read # adds rows, changes rows, changes rows without a condition that narrows them

WITH x AS (SELECT id FROM orders) INSERT INTO orders (id) SELECT id FROM x ON CONFLICT (id) DO UPDATE SET total = 0
=> irreversible insert; insert public.orders(id) write; select public.orders(id) read; update public.orders(total) # adds rows, changes rows, changes rows without a condition that narrows them

INSERT INTO orders (id) (VALUES (1) UNION SELECT id FROM orders) ON CONFLICT (id) DO UPDATE SET total = 0
=> irreversible insert; insert public.orders(id) write; select public.orders(id) read; update public.orders(total) # adds rows, changes rows, changes rows without a condition that narrows them

INSERT INTO orders (id) SELECT unnest(ARRAY(SELECT id FROM orders)) ON CONFLICT (id) DO UPDATE SET total = 0
=> irreversible insert; insert public.orders(id) write; select public.orders(id) read; update public.orders(total) # adds rows, changes rows, changes rows without a condition that narrows them

INSERT INTO orders (id) SELECT g FROM unnest(ARRAY(SELECT id FROM orders)) g ON CONFLICT (id) DO UPDATE SET total = 0
=> irreversible insert; insert public.orders(id) write; select public.orders(id) read; update public.orders(total) # adds rows, changes rows, changes rows without a condition that narrows them

