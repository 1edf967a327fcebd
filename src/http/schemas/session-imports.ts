import { z } from 'zod';
import { IMPORT_FORMATS, IMPORT_STATUSES, IMPORT_TYPES } from '../../domain/session-import.ts';
import { csvLines, importTemplate } from '../../domain/import-templates.ts';
import type { CutFile } from '../cut-import-file.ts';
import { pageQuery } from '../paging.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, errorBody, idErrors, postErrors } from './errors.ts';
import { oneOf, text, time } from './fields.ts';
import { pageReply } from './pages.ts';
import { workflowId } from './sharing.ts';

/** The fields of `POST /v3/session/imports/` besides the file. */
export const uploadFields = z.object({
  import_type: oneOf(IMPORT_TYPES),
  provider: text(64).default('generic'),
  workflow_id: workflowId.optional(),
});

const whenRaw = 'For a file that is the whole body; in a form it is a field.';

/** The same fields, of a file that is the whole body. */
const rawUploadQuery = z.object({
  import_type: z
    .enum(IMPORT_TYPES)
    .optional()
    .meta({ description: `What the rows are. ${whenRaw}` }),
  provider: z
    .string()
    .optional()
    .meta({ description: `Who verified them. ${whenRaw}` }),
  workflow_id: z
    .string()
    .optional()
    .meta({ description: `The verification workflow to file them under. ${whenRaw}` }),
});

const uploadBody = uploadFields.extend({ file: z.file() });

/** An upload as it was read: what is wrong with any of its fields is told at once. */
export const uploadForm = uploadFields.extend({
  file: z.custom<CutFile>((file) => file !== null, 'No file was submitted. Send one as `file` in multipart/form-data.'),
  source_file_url: z
    .custom<unknown>((url) => (url ?? '') === '', 'Files are not fetched from a link: send the file itself as `file`.')
    .optional(),
});

/** An import, with how far it has come. Its counts change until it has ended. */
export const importReply = z
  .strictObject({
    uuid: z.string(),
    status: z.enum(IMPORT_STATUSES),
    import_type: z.enum(IMPORT_TYPES),
    provider: z.string(),
    workflow_id: z.string(),
    source_filename: z.string().nullable(),
    total_rows: z.int(),
    processed_rows: z.int(),
    created_count: z.int(),
    updated_count: z.int(),
    skipped_count: z.int(),
    failed_count: z.int(),
    checkpoint_row: z.int(),
    total_media_bytes: z.int(),
    last_error: z.string().nullable(),
    created_at: time,
    updated_at: time,
    started_at: time.nullable(),
    completed_at: time.nullable(),
  })
  .meta({ id: 'SessionImport' });

/** A row that was not taken in: what is wrong with it, and the row as it stood in the file. */
export const importErrorItem = z.strictObject({
  row_number: z.int(),
  external_id: z.string().nullable(),
  error: z.string(),
  raw_row: z.unknown(),
});

export const importsQuery = z.object(pageQuery);

/** Query of `GET …/errors/`: JSON by pages, or all of them as one CSV file. */
export const importErrorsQuery = z.object({
  format: oneOf(['json', 'csv'])
    .default('json')
    .meta({ description: '`json` by pages, or all rows as one `csv` file.' }),
  ...pageQuery,
});

export const templateQuery = z.object({
  import_type: oneOf(IMPORT_TYPES).meta({ description: 'What the rows of the file are to be.' }),
  format: oneOf(IMPORT_FORMATS).default('csv').meta({ description: 'Which sort of file.' }),
});

const example = {
  uuid: '01940000-0000-7000-8000-000000000001',
  status: 'processing',
  import_type: 'user_verification',
  provider: 'generic',
  workflow_id: '01940000-0000-7000-8000-000000000002',
  source_filename: 'sessions.csv',
  total_rows: 1200,
  processed_rows: 600,
  created_count: 590,
  updated_count: 0,
  skipped_count: 2,
  failed_count: 8,
  checkpoint_row: 601,
  total_media_bytes: 0,
  last_error: null,
  created_at: '2026-11-02T09:30:00.000000Z',
  updated_at: '2026-11-02T09:30:02.000000Z',
  started_at: '2026-11-02T09:30:01.000000Z',
  completed_at: null,
};

const page = (item: unknown) => ({ count: 1, next: null, previous: null, results: [item] });
const ERRORS_CSV = csvLines([
  ['row_number', 'external_id', 'error', 'raw_row'],
  ['17', 'person-16', 'status: It is missing.', '{"external_id":"person-16","first_name":"Ada"}'],
]);
const tag = 'Session imports';

export const importContracts = {
  create: {
    operationId: 'createSessionImport',
    tag,
    summary: 'Upload a file of sessions that were verified elsewhere',
    description:
      'CSV or NDJSON in UTF-8, up to 25 MB and 250,000 rows, one session a row (see the template). The rows are taken in by a durable run: poll the import. ' +
      'An `external_id` that is there already is skipped, so the same file may be sent again. Nobody is told of imported sessions. ' +
      'The file may also be the whole body (`text/csv`, `application/x-ndjson`), the fields then stand in the query. ' +
      'Two uploads of an application are taken at a time; more are 503 with `Retry-After`. ' +
      'Ten imports may be open; one more is 409 `too_many_imports`.',
    query: rawUploadQuery,
    bodyType: 'multipart/form-data',
    otherBodyTypes: ['text/csv', 'application/x-ndjson'],
    body: uploadBody,
    replies: { 201: importReply, ...postErrors },
    refusals: [
      'workflow_not_found',
      'workflow_kind_mismatch',
      'workflow_required',
      'application_deleted',
      'too_many_imports',
    ],
    examples: {
      body: {
        import_type: 'user_verification',
        provider: 'generic',
        file: importTemplate('user_verification', 'csv'),
      },
      byType: {
        'text/csv': importTemplate('user_verification', 'csv'),
        'application/x-ndjson': importTemplate('user_verification', 'ndjson'),
      },
      replies: {
        201: {
          ...example,
          status: 'pending',
          processed_rows: 0,
          created_count: 0,
          skipped_count: 0,
          failed_count: 0,
          checkpoint_row: 0,
          started_at: null,
        },
      },
    },
  },
  list: {
    operationId: 'listSessionImports',
    tag,
    summary: 'List imports, newest first',
    query: importsQuery,
    replies: { 200: pageReply(importReply), ...anyRouteErrors, 400: errorBody },
    examples: { replies: { 200: page(example) } },
  },
  read: {
    operationId: 'readSessionImport',
    tag,
    summary: 'Read an import and how far it has come',
    replies: { 200: importReply, ...idErrors },
    refusals: ['not_found'],
    examples: { replies: { 200: example } },
  },
  errors: {
    operationId: 'listSessionImportErrors',
    tag,
    summary: 'List the rows that were not taken in, with the reason of each',
    description: 'With `format=csv`, all of them as one CSV file, without pages.',
    query: importErrorsQuery,
    otherReplyTypes: ['text/csv'],
    replies: { 200: pageReply(importErrorItem), ...idErrors, 400: errorBody },
    refusals: ['not_found'],
    examples: {
      replies: {
        200: page({
          row_number: 17,
          external_id: 'person-16',
          error: 'status: It is missing: give one of Approved, Declined, In Review, spelt so or in UPPER_SNAKE.',
          raw_row: { external_id: 'person-16', first_name: 'Ada' },
        }),
      },
      byType: { 'text/csv': ERRORS_CSV },
    },
  },
  template: {
    operationId: 'downloadSessionImportTemplate',
    tag,
    summary: 'Download a file to fill, with an example row',
    params: {},
    query: templateQuery,
    replyType: 'text/csv',
    otherReplyTypes: ['application/x-ndjson'],
    replies: { 200: z.string(), ...anyRouteErrors, 400: errorBody },
    examples: {
      replies: { 200: importTemplate('user_verification', 'csv') },
      byType: { 'application/x-ndjson': importTemplate('user_verification', 'ndjson') },
    },
  },
  cancel: {
    operationId: 'cancelSessionImport',
    tag,
    summary: 'Cancel an import; the rows that are in stay',
    replies: { 200: importReply, ...postErrors },
    refusals: ['not_found', 'import_ended'],
    examples: { replies: { 200: { ...example, status: 'cancelled' } } },
  },
} satisfies Record<string, RouteContract>;
