import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { invalidFields, Refusal } from '../domain/failures.ts';
import type { JsonValue } from '../domain/json.ts';
import { unstorable } from '../domain/storable-json.ts';
import { callerOf } from './auth.ts';
import { cutImportFile, MAX_IMPORT_BYTES, unfit, type CutFile } from './cut-import-file.ts';
import { UnreadableRequest } from './errors.ts';

/** An upload as it came: its fields as text, and its file cut into parts. */
export interface Upload {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly filename: string | null;
  /** Null when none came. */
  readonly file: CutFile | null;
}

/** Bodies that are the file itself; the fields are then in the query. */
const RAW_TYPES = ['text/csv', 'application/x-ndjson', 'application/ndjson'];

const ONCE = 'Give it once.';
const MAX_FILENAME_CHARACTERS = 255;

/** Uploads that this process holds in memory at a time, in all and of one application. */
const MAX_UNDER_WAY = 8;
const MAX_OF_ONE = 2;
/** By application. */
const underWay = new Map<string, number>();
const RETRY_SECONDS = 5;

/** Has the routes of this scope take a file: in `multipart/form-data`, or as the body. */
export async function acceptUploads(scope: FastifyInstance): Promise<void> {
  await scope.register(multipart, {
    // One byte more: the reader counts them too, and says which limit it was.
    limits: { fileSize: MAX_IMPORT_BYTES + 1, files: 1, fields: 20, fieldSize: 4_096, fieldNameSize: 100, parts: 21 },
  });
  scope.addContentTypeParser(RAW_TYPES, (_request, payload, done) => done(null, payload));
  scope.addContentTypeParser('*', (_request, _payload, done) => {
    const detail = 'Send the file as multipart/form-data, or as the body with text/csv or application/x-ndjson.';
    done(new Refusal('unsupported_media_type', { detail }));
  });
}

/**
 * Runs `work`, which may read and hold an upload: only so many do at a time.
 *
 * @throws {Refusal} `service_unavailable`, with `Retry-After`
 */
export async function whileThereIsRoom<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  work: () => Promise<T>,
): Promise<T> {
  const { applicationId } = callerOf(request);
  const own = underWay.get(applicationId) ?? 0;
  const all = [...underWay.values()].reduce((sum, count) => sum + count, 0);
  if (own >= MAX_OF_ONE || all >= MAX_UNDER_WAY) {
    void reply.header('retry-after', RETRY_SECONDS);
    throw new Refusal('service_unavailable', {
      detail: 'Other files are being uploaded. Try again after the time in Retry-After.',
    });
  }
  underWay.set(applicationId, own + 1);
  try {
    return await work();
  } finally {
    const left = (underWay.get(applicationId) ?? 1) - 1;
    if (left === 0) underWay.delete(applicationId);
    else underWay.set(applicationId, left);
  }
}

/**
 * Reads an upload. Its digest, for an `Idempotency-Key`, is made of the fields and the file's bytes: the boundary between
 * them is another one in every request.
 *
 * @throws {Refusal} `payload_too_large`, and `invalid_request` on `file`
 * @throws {UnreadableRequest}
 */
export async function readUpload(request: FastifyRequest): Promise<Upload> {
  const { fields, filename, file } = request.isMultipart() ? await readMultipart(request) : await readRaw(request);
  refuseUnfit(fields);
  if (file !== null) {
    request.bodySha256 = createHash('sha256')
      .update(JSON.stringify([Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)), filename]))
      .update(file.sha256)
      .digest();
  }
  return { fields, filename: filename?.slice(0, MAX_FILENAME_CHARACTERS) ?? null, file };
}

/** Such texts could come neither in a JSON body. */
function refuseUnfit(fields: Upload['fields']): void {
  for (const [name, value] of Object.entries(fields)) {
    const inName = unstorable(name);
    if (inName !== null) throw invalidFields({ detail: [inName] });
    // A parameter of a query that is there twice.
    const sentence = Array.isArray(value) ? ONCE : unstorable(value as JsonValue);
    if (sentence !== null) throw invalidFields({ [name]: [sentence] });
  }
}

async function readMultipart(request: FastifyRequest): Promise<Upload> {
  const fields: Record<string, unknown> = {};
  const names = new Set<string>();
  let file: CutFile | null = null;
  let filename: string | null = null;
  try {
    for await (const part of request.parts()) {
      if (part.type === 'field') {
        if (names.has(part.fieldname)) throw invalidFields({ [part.fieldname]: [ONCE] });
        names.add(part.fieldname);
        // An optional field that a form left empty.
        if (part.value !== '') fields[part.fieldname] = part.value;
      } else if (part.fieldname === 'file') {
        filename = part.filename === '' ? null : part.filename;
        file = await cutImportFile(part.file, { filename, contentType: part.mimetype });
      } else {
        throw unfit(`The file stands in another field: name it \`file\`.`);
      }
    }
  } catch (error) {
    throw unreadable(error);
  }
  return { fields, filename, file };
}

async function readRaw(request: FastifyRequest): Promise<Upload> {
  const body = request.body;
  const isStream = typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
  if (!isStream) {
    return { fields: typeof body === 'object' && body !== null ? { ...body } : {}, filename: null, file: null };
  }
  const contentType = request.headers['content-type'] ?? null;
  // A refusal must not close the connection before it is answered.
  const bytes = (body as Readable).iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  const file = await cutImportFile(bytes, { filename: null, contentType });
  return { fields: { ...(request.query as Record<string, unknown>) }, filename: null, file };
}

/** The plugin's and its parser's words for a body that is no form become ours; anything else is what it was. */
function unreadable(error: unknown): unknown {
  const { code } = error as { code?: unknown };
  if (code === 'FST_FILES_LIMIT') return unfit('Send one file.');
  const isForm = typeof code === 'string' ? code.startsWith('FST_') : (error as Error).constructor === Error;
  if (!isForm) return error;
  return new UnreadableRequest(
    'The body is not readable as multipart/form-data: send a few short fields and one file.',
  );
}
