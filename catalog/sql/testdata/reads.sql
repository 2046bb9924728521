SELECT 1
=> read select

SELECT abalance FROM pgbench_accounts WHERE aid = $1
=> read select; select public.pgbench_accounts(abalance,aid)

SELECT * FROM orders
=> read select; select public.orders(*)

SELECT count(*) FROM orders
=> read select; select public.orders()

SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.created > now() - interval '1 day'
=> read select; select public.customers(id,name); select public.orders(created,customer_id,id)

SELECT id, name FROM orders JOIN customers USING (customer_id)
=> read select; select public.customers(customer_id,id,name); select public.orders(customer_id,id,name)

SELECT * FROM a NATURAL JOIN b
=> read select; select public.a(*); select public.b(*)

SELECT orders FROM orders
=> read select; select public.orders(*)

SELECT to_json(o) FROM orders AS o
=> read select; select public.orders(*)

SELECT (o).id FROM orders o
=> irreversible select; call database; select public.orders(*) read # reads the field id of a value, or calls a function of that name

SELECT a FROM orders AS o(a, b)
=> read select; select public.orders(*)

SELECT j.id FROM (orders o JOIN customers c ON true) AS j
=> read select; select public.customers(id); select public.orders(id)

WITH x AS (SELECT id FROM orders) SELECT x.id FROM x
=> read select; select public.orders(id)

WITH orders AS (SELECT 1 AS id) SELECT id FROM orders
=> read select

WITH orders AS (SELECT id FROM orders) SELECT id FROM orders
=> read select; select public.orders(id)

WITH x AS (SELECT 1), y AS (SELECT * FROM x) SELECT * FROM y, public.x
=> read select; select public.x(*)

WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t
=> read select

WITH RECURSIVE tree AS (SELECT id, parent FROM nodes WHERE id = 1 UNION ALL SELECT n.id, n.parent FROM nodes n JOIN tree ON n.parent = tree.id) SELECT * FROM tree
=> read select; select public.nodes(id,parent)

SELECT * FROM (WITH orders AS (SELECT 1) SELECT * FROM orders) s, orders
=> read select; select public.orders(*)

VALUES (1, 2), (3, 4)
=> read select

TABLE orders
=> read select; select public.orders(*)

SELECT a FROM t1 UNION SELECT b FROM t2 ORDER BY 1
=> read select; select public.t1(a); select public.t2(b)

SELECT id FROM customers WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = customers.id)
=> read select; select public.customers(id); select public.orders(customer_id)

SELECT id FROM customers WHERE id IN (SELECT customer_id FROM orders)
=> read select; select public.customers(customer_id,id); select public.orders(customer_id)

SELECT c.id, (SELECT max(o.total) FROM orders o WHERE o.customer_id = c.id) AS most FROM customers c ORDER BY most DESC LIMIT 5
=> read select; select public.customers(id); select public.orders(customer_id,total)

SELECT c.id, l.total FROM customers c, LATERAL (SELECT total FROM orders o WHERE o.customer_id = c.id) l
=> read select; select public.customers(id,total); select public.orders(customer_id,total)

SELECT rank() OVER w FROM orders WINDOW w AS (PARTITION BY city ORDER BY total)
=> read select; select public.orders(city,total)

SELECT city, sum(total) FILTER (WHERE total > 0) FROM orders GROUP BY GROUPING SETS ((city), ()) HAVING sum(total) > 1
=> read select; select public.orders(city,total)

SELECT relname FROM pg_class
=> read select; select pg_catalog.pg_class(relname)

SELECT relname FROM pg_catalog.pg_class JOIN pg_namespace n ON n.oid = relnamespace
=> read select; select pg_catalog.pg_class(relname,relnamespace); select pg_catalog.pg_namespace(oid,relname,relnamespace)

SELECT table_name FROM information_schema.tables
=> read select; select information_schema.tables(table_name)

SELECT pg_class.relname FROM public.pg_class
=> read select; select public.pg_class(relname)

SELECT random(), clock_timestamp(), gen_random_uuid(), current_user, current_date, CURRENT_TIMESTAMP
=> read select

SELECT * FROM generate_series(1, 10) g
=> read select

SELECT * FROM orders TABLESAMPLE bernoulli (10)
=> read select; select public.orders(*)

SELECT '1'::int, CAST('2024-01-01' AS date), ARRAY[1, 2]::text[], int '5', E'\x41', $$a$$
=> read select

SELECT extract(year FROM d), substring(s FROM 1 FOR 2), trim(both ' ' FROM s), position('a' IN s), overlay(s placing 'x' from 1), d AT TIME ZONE 'UTC' FROM t
=> read select; select public.t(d,s)

SELECT a LIKE 'x%', a ILIKE 'y', a SIMILAR TO 'z', a ~ 'r', a BETWEEN 1 AND 2, a IS DISTINCT FROM b, a IN (1, 2), a = ANY($1), NULLIF(a, b) FROM t
=> read select; select public.t(a,b)

SELECT coalesce(a, 0), greatest(a, b), CASE a WHEN 1 THEN 'x' ELSE 'y' END, ROW(a, b), NOT c FROM t
=> read select; select public.t(a,b,c)

SELECT data->'a'->>'b', data @> '{"a":1}', jsonb_path_query(data, '$.a') FROM docs
=> read select; select public.docs(data)

SELECT x.* FROM json_to_recordset('[{"a":1}]') AS x(a int, b text)
=> read select

SELECT * FROM XMLTABLE('/r' PASSING ('<r/>'::xml) COLUMNS a int PATH 'a')
=> read select

SELECT string_agg(name, ',' ORDER BY name) FROM customers
=> read select; select public.customers(name)

SELECT DISTINCT ON (city) city, id FROM customers ORDER BY city, id
=> read select; select public.customers(city,id)

SELECT name COLLATE "C" FROM customers
=> read select; select public.customers(name)

EXPLAIN SELECT * FROM orders
=> read explain; select public.orders(*)

EXPLAIN ANALYZE SELECT id FROM orders
=> read explain; select public.orders(id)

EXPLAIN (ANALYZE false, VERBOSE) DELETE FROM orders WHERE id = 1
=> read explain; select public.orders(*)

EXPLAIN UPDATE orders SET total = 1
=> read explain; select public.orders(total)

COPY orders TO STDOUT
=> read copy; select public.orders(*)

COPY orders (id, total) TO STDOUT WITH (FORMAT csv, HEADER)
=> read copy; select public.orders(id,total)

COPY (SELECT id FROM orders) TO STDOUT
=> read copy; select public.orders(id)

DECLARE c CURSOR FOR SELECT id FROM orders
=> read declare; select public.orders(id)

FETCH 10 FROM c
=> read fetch

MOVE FORWARD 2 IN c
=> read fetch

CLOSE c
=> read close

CLOSE ALL
=> read close

PREPARE p (int) AS SELECT id FROM orders WHERE id = $1
=> read prepare; select public.orders(id)

DEALLOCATE p
=> read deallocate

DEALLOCATE ALL
=> read deallocate

BEGIN
=> read transaction

BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE
=> read transaction

START TRANSACTION
=> read transaction

COMMIT AND CHAIN
=> read transaction

END
=> read transaction

ROLLBACK
=> read transaction

ABORT
=> read transaction

SAVEPOINT s
=> read transaction

RELEASE s
=> read transaction

ROLLBACK TO s
=> read transaction

SET TRANSACTION READ ONLY
=> read set

SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
=> read set

SET application_name = 'x'
=> read set

SET client_encoding TO 'UTF8'
=> read set

SET NAMES 'utf-8'
=> read set

SET datestyle TO iso, mdy
=> read set

SET TIME ZONE 'UTC'
=> read set

SET extra_float_digits = 3
=> read set

SET LOCAL enable_seqscan = off
=> read set

SET standard_conforming_strings = on
=> read set

RESET timezone
=> read set

RESET ALL
=> read set

DISCARD ALL
=> read discard

SHOW search_path
=> read show

SHOW ALL
=> read show

SET CONSTRAINTS ALL DEFERRED
=> read set

LISTEN news
=> read listen

UNLISTEN *
=> read listen

SELECT 1; SELECT 2
=> read select
=> read select

-- nothing
=> nothing

SELECT a.b.c.d FROM b.c
=> read select; select b.c(d)

SELECT s.o.id FROM s.o
=> read select; select s.o(id)

SELECT "weird,name", "b*" FROM t
=> read select; select public.t(*)

SELECT id FROM t t1 WHERE t1.x = (SELECT max(y) FROM t t2 WHERE t2.z = t1.z AND w = 1)
=> read select; select public.t(id,w,x,y,z)

SELECT merge_id FROM ONLY orders
=> read select; select public.orders(merge_id)

SELECT currval('s'), lastval()
=> read select

SELECT pg_size_pretty(pg_total_relation_size('orders'::regclass))
=> read select

SELECT pg_catalog.lower(name) FROM customers
=> read select; select public.customers(name)

SELECT 1 OPERATOR(pg_catalog.+) 2
=> read select

SELECT JSON_OBJECT('a': 1), JSON_QUERY(d, '$.a'), d IS JSON FROM docs
=> read select; select public.docs(d)

SELECT * FROM JSON_TABLE('{}', '$' COLUMNS (a int PATH '$.a')) j
=> read select

SELECT 'x' IS NORMALIZED, normalize('x'), collation for ('x'), (now(), now()) OVERLAPS (now(), now())
=> read select

SELECT t.name FROM (VALUES (1, 'x')) AS t(id, name) WHERE t.id = $2
=> read select

WITH x AS (SELECT id FROM orders) SELECT * FROM x FOR UPDATE
=> read select; select public.orders(id)

