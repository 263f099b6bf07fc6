-- A shop that sells in four regions: 30,000 orders of March 2024.

CREATE TABLE orders (
  id bigint PRIMARY KEY,
  region text,
  status text NOT NULL,
  amount numeric(10,2) NOT NULL,
  ordered_at timestamptz NOT NULL
);

-- Every partition is read by its column: let an index answer.
CREATE INDEX ON orders (ordered_at);
CREATE INDEX ON orders (region);

-- Rows that only ever come in.
CREATE TABLE order_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  order_id bigint NOT NULL,
  what text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON order_events (created_at);

INSERT INTO orders (id, region, status, amount, ordered_at)
SELECT n, (ARRAY['APAC', 'EU', 'US', NULL])[1 + n % 4], (ARRAY['new', 'paid', 'shipped'])[1 + n % 3], (n * 37 % 100000) / 100.0,
  timestamptz '2024-03-01 00:00 America/New_York' + n * interval '89 seconds'
FROM generate_series(1, 30000) AS n;

INSERT INTO order_events (order_id, what, created_at)
SELECT n, 'placed', timestamptz '2024-03-01 00:00 America/New_York' + n * interval '89 seconds' FROM generate_series(1, 30000) AS n;

ANALYZE orders, order_events;
