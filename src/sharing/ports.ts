// What the verbs need from outside: one file for each family of rows.
export type * from './ports/storage.ts';
export type * from './ports/shares.ts';
export type * from './ports/onboardings.ts';
export type * from './ports/sessions.ts';
export type * from './ports/files.ts';
export type * from './ports/imports.ts';
export type * from './ports/ingestion.ts';
export type * from './ports/session-life.ts';
export type * from './ports/events.ts';
export type * from './ports/transaction.ts';
export type * from './ports/entities.ts';
export type * from './ports/connections.ts';
export type * from './ports/applications.ts';
