INSERT INTO orders (id, total) VALUES ($1, $2)
=> write insert; insert public.orders(id,total) # adds rows

INSERT INTO orders DEFAULT VALUES
=> write insert; insert public.orders(*) # adds rows

INSERT INTO orders SELECT * FROM staging
=> write insert; insert public.orders(*); select public.staging(*) read # adds rows

INSERT INTO orders (id) VALUES (1) RETURNING id, total
=> write insert; insert public.orders(id); select public.orders(id,total) read # adds rows

INSERT INTO orders AS o (id, total) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET total = excluded.total WHERE o.city = 'x'
=> write insert; insert public.orders(id,total); select public.orders(city,id,total) read; update public.orders(total) # adds rows, changes rows

INSERT INTO orders (id) VALUES (1) ON CONFLICT DO NOTHING
=> write insert; insert public.orders(id) # adds rows

INSERT INTO orders (id) VALUES (nextval('s'))
=> write insert; call database; insert public.orders(id) # adds rows, calls nextval

WITH orders AS (SELECT 1) INSERT INTO orders SELECT * FROM orders
=> write insert; insert public.orders(*) # adds rows

UPDATE orders SET total = $1 WHERE id = $2
=> write update; select public.orders(id) read; update public.orders(total) # changes rows

UPDATE orders SET total = total + 1, (city, zip) = ('a', 'b') WHERE id IN (1, 2) RETURNING *
=> write update; select public.orders(*) read; update public.orders(city,total,zip) # changes rows

UPDATE orders o SET total = s.total FROM staging s WHERE o.id = $1 AND s.id = o.id
=> write update; select public.orders(id) read; update public.orders(total); select public.staging(id,total) read # changes rows

UPDATE orders SET total = 1 WHERE id = ANY($1)
=> write update; select public.orders(id) read; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE id BETWEEN 1 AND 5
=> write update; select public.orders(id) read; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE deleted_at IS NULL
=> write update; select public.orders(deleted_at) read; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE id IN (SELECT order_id FROM todo WHERE batch = 3)
=> write update; select public.orders(batch,id,order_id) read; update public.orders(total); select public.todo(batch,order_id) read # changes rows

UPDATE orders SET total = 1 WHERE CURRENT OF c
=> write update; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE id = 1 OR id = 2
=> write update; select public.orders(id) read; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE paid
=> write update; select public.orders(paid) read; update public.orders(total) # changes rows

UPDATE orders SET total = 1 WHERE NOT paid
=> write update; select public.orders(paid) read; update public.orders(total) # changes rows

UPDATE ONLY public.orders SET total = 1 WHERE orders.id = 7
=> write update; select public.orders(id) read; update public.orders(total) # changes rows

MERGE INTO orders o USING staging s ON o.id = s.id WHEN NOT MATCHED THEN INSERT (id, total) VALUES (s.id, s.total)
=> write merge; insert public.orders(id,total); select public.orders(id) read; select public.staging(id,total) read # adds rows

MERGE INTO orders o USING staging s ON o.id = 7 WHEN MATCHED THEN UPDATE SET total = s.total
=> write merge; select public.orders(id) read; update public.orders(total); select public.staging(total) read # changes rows

COPY orders FROM STDIN
=> write copy; insert public.orders(*) # adds rows

COPY orders (id, total) FROM STDIN WITH (FORMAT binary)
=> write copy; insert public.orders(id,total) # adds rows

SELECT id FROM orders FOR UPDATE
=> write select; lock public.orders(); select public.orders(id) read # locks rows

SELECT id FROM orders o, customers c FOR SHARE OF o SKIP LOCKED
=> write select; lock public.customers(); select public.customers(id) read; lock public.orders(); select public.orders(id) read # locks rows

SELECT * FROM (SELECT id FROM orders FOR KEY SHARE) s
=> write select; lock public.orders(); select public.orders(id) read # locks rows

NOTIFY news, 'x'
=> write notify; notify database # sends a message to others

SELECT pg_notify('a', 'b')
=> write select; call database # calls pg_notify

SELECT nextval('s')
=> write select; call database # calls nextval

LOCK TABLE orders IN ACCESS SHARE MODE
=> write lock; lock public.orders() # locks tables

CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', CHECK (id > 0))
=> write create; create public.t() # makes a table

CREATE TABLE t (id int REFERENCES orders (id))
=> write create; references public.orders(*); create public.t() # makes a table

CREATE TEMP TABLE t (id int)
=> irreversible create; create pg_temp.t() # makes a table

CREATE TABLE t AS SELECT id FROM orders
=> write create; select public.orders(id) read; create public.t() # makes a table

CREATE INDEX i ON orders (lower(city), total DESC) WHERE total > 0
=> write create; create public.orders(); select public.orders(city,total) read # makes an index

CREATE MATERIALIZED VIEW v AS SELECT id FROM orders
=> write create; select public.orders(id) read; create public.v() # makes a table

CREATE SCHEMA s
=> write create; create database # makes a schema

CREATE SEQUENCE s
=> write create; create public.s() # makes a sequence

CREATE TYPE mood AS ENUM ('sad', 'ok')
=> write create; create database # makes a type

SELECT id INTO t FROM orders
=> write select; select public.orders(id) read; create public.t() # makes a table of what it selects

WITH x AS (INSERT INTO orders (id) VALUES (1) RETURNING id) SELECT * FROM x
=> write select; insert public.orders(id); select public.orders(id) read # adds rows

WITH x AS (UPDATE orders SET total = 1 WHERE id = 1 RETURNING id) SELECT id FROM x
=> write select; select public.orders(id) read; update public.orders(total) # changes rows

EXPLAIN ANALYZE INSERT INTO orders (id) VALUES (1)
=> write explain; insert public.orders(id) # adds rows

PREPARE p AS INSERT INTO orders (id) VALUES ($1)
=> write prepare; insert public.orders(id) # adds rows

EXPLAIN (ANALYZE) UPDATE orders SET total = 1 WHERE id = 3
=> write explain; select public.orders(id) read; update public.orders(total) # changes rows

INSERT INTO orders (id, total) SELECT * FROM unnest($1::int[], $2::numeric[]) ON CONFLICT (id) DO UPDATE SET total = excluded.total
=> write insert; insert public.orders(id,total); select public.orders(id,total) read; update public.orders(total) # adds rows, changes rows

INSERT INTO orders (id, total) VALUES ((SELECT max(id) FROM staging), 1) ON CONFLICT (id) DO UPDATE SET total = excluded.total
=> write insert; insert public.orders(id,total); select public.orders(id,total) read; update public.orders(total); select public.staging(id) read # adds rows, changes rows

INSERT INTO orders (id, total) SELECT id, total FROM staging WHERE id = 7 ON CONFLICT (id) DO UPDATE SET total = excluded.total
=> write insert; insert public.orders(id,total); select public.orders(id,total) read; update public.orders(total); select public.staging(id,total) read # adds rows, changes rows

INSERT INTO orders (id, total) SELECT id, total FROM staging ON CONFLICT (id) DO UPDATE SET total = excluded.total WHERE orders.id = 5
=> write insert; insert public.orders(id,total); select public.orders(id,total) read; update public.orders(total); select public.staging(id,total) read # adds rows, changes rows

