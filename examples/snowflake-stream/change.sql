-- What a day brings: a new order, one that ships, one that is cancelled.
INSERT INTO RAW.PUBLIC.ORDERS VALUES (4, 'dora', 99.99, 'new');
UPDATE RAW.PUBLIC.ORDERS SET STATUS = 'shipped' WHERE ID = 1;
DELETE FROM RAW.PUBLIC.ORDERS WHERE ID = 2;
