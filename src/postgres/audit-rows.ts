import { AUDITED_COLUMNS, type AuditedEvent } from '../audit/audited-event.ts';
import { isoColumn } from './session-rows.ts';

const BYTES: ReadonlySet<string> = new Set(['salt', 'digest', 'before_sha256', 'after_sha256']);

/** Select list that makes an `AuditedEvent` of a row of `event` under this alias. */
export function auditedColumns(alias: string): string {
  return AUDITED_COLUMNS.map((column) => {
    const value = `${alias}.${column}`;
    if (BYTES.has(column)) return `encode(${value}, 'hex') as ${column}`;
    if (column === 'created_at') return `${hashedTime(value)} as created_at`;
    return `${value}::text as ${column}`;
  }).join(', ');
}

/** A time as it is hashed. A year before our era is written as the year after it; its minus keeps them apart. */
export function hashedTime(value: string): string {
  return `case when extract(year from ${value}) < 0 then '-' else '' end || ${isoColumn(value)}`;
}

/** The columns of an event in a row that holds others too. */
export function auditedEvent(row: AuditedEvent): AuditedEvent {
  return Object.fromEntries(AUDITED_COLUMNS.map((column) => [column, row[column]])) as AuditedEvent;
}
