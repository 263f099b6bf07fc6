import { expect, test } from 'vitest'
import { traceCause } from './trace-cause.ts'

test.each([
  ['', null],
  ['java.lang.OutOfMemoryError: Java heap space\n\tat a.b.C(D.java:1)', 'OutOfMemoryError: Java heap space'],
  [
    'org.apache.kafka.connect.errors.ConnectException: stopped\n\tat x\nCaused by: a.b.Outer: first\n\tat y\nCaused by: org.postgresql.util.PSQLException: ERROR: last\n\t... 3 more',
    'PSQLException: ERROR: last',
  ],
  ['Caused by: io.debezium.Outer$Inner: words', 'Outer$Inner: words'],
])('%j', (trace, cause) => {
  expect(traceCause(trace)).toBe(cause)
})
