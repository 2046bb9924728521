COMMIT; DROP SCHEMA public CASCADE
=> read transaction
=> irreversible drop; drop database # removes objects, may remove more than it names

SELECT 1; DELETE FROM orders
=> read select
=> irreversible delete; delete public.orders(*) # deletes rows

SELECT '\'; DELETE FROM orders; --'
=> read select
=> irreversible delete; delete public.orders(*) # deletes rows

SELECT $$a$$; DROP TABLE orders
=> read select
=> irreversible drop; drop public.orders(*) # removes objects

SELECT 1 /* ; DROP TABLE x; */; TRUNCATE orders -- '
=> read select
=> irreversible truncate; truncate public.orders(*) # cannot be undone

SELECT id FROM orders INTO t
=> error syntax error at or near "INTO"

SELECT currval('s'); SELECT setval('s', 5)
=> read select
=> irreversible select; call database # calls setval

