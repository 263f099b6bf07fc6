// Names of topics, as Debezium makes them from the names of tables.

import type { TableName } from './table.ts'

/** What a topic's name may not hold becomes a line: two tables can meet in one topic. */
export function topicOf(prefix: string, table: TableName): string {
  return [prefix, table.schema ?? 'public', table.name].map((part) => part.replaceAll(/[^a-zA-Z0-9._-]/g, '_')).join('.')
}
