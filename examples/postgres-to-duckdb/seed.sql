-- A small shop: 10,000 orders and the customers who made them.

CREATE TABLE customers (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  city text,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customers,
  status text NOT NULL,
  amount numeric(10,2) NOT NULL,
  order_date date NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Rows that only ever come in.
CREATE TABLE order_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id bigint NOT NULL,
  what text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Every run asks for the rows above the watermark: let an index answer.
CREATE INDEX ON customers (updated_at);
CREATE INDEX ON orders (updated_at);
CREATE INDEX ON order_events (created_at);

-- The database, not the application, says when a row changed.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();

INSERT INTO customers (id, name, city, updated_at)
SELECT n, 'customer ' || n, (ARRAY['Berlin', 'Malmö', 'Porto', NULL])[1 + n % 4], now() - interval '30 days'
FROM generate_series(1, 500) AS n;

INSERT INTO orders (id, customer_id, status, amount, order_date, updated_at)
SELECT n, 1 + n % 500, (ARRAY['new', 'paid', 'shipped'])[1 + n % 3], (n * 37 % 100000) / 100.0,
  current_date - 30 + n / 400, now() - interval '30 days' + n * interval '4 minutes'
FROM generate_series(1, 10000) AS n;

INSERT INTO order_events (order_id, what, created_at)
SELECT n, 'placed', now() - interval '30 days' + n * interval '4 minutes' FROM generate_series(1, 10000) AS n;

ANALYZE customers, orders, order_events;
