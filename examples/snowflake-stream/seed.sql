-- Orders in Snowflake. The key is not enforced there; it tells tidemark what identifies a row.
CREATE TABLE RAW.PUBLIC.ORDERS (
  ID NUMBER(10,0) NOT NULL PRIMARY KEY,
  CUSTOMER VARCHAR,
  AMOUNT NUMBER(12,2),
  STATUS VARCHAR
);
INSERT INTO RAW.PUBLIC.ORDERS VALUES (1, 'ann', 10.50, 'new'), (2, 'bob', 20.00, 'new'), (3, 'cleo', 7.25, 'new');
