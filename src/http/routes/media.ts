import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { invalidFields, Refusal } from '../../domain/failures.ts';
import { parseMediaField, type MediaField } from '../../domain/media-fields.ts';
import {
  FILE_ENDINGS,
  FILE_TYPES,
  fileProblem,
  fileTypeOf,
  MAX_MEDIA_BYTES,
  type FileType,
} from '../../media/file-types.ts';
import { proveLink } from '../../media/links.ts';
import { openFile } from '../../media/sealed-file.ts';
import { storeFiles } from '../../media/store-files.ts';
import { readDataKey } from '../../postgres/data-keys.ts';
import { readableMedia, readLinkedFile, readSessionFile } from '../../postgres/media.ts';
import { newId } from '../../postgres/new-id.ts';
import { attachFile } from '../../sharing/attach-file.ts';
import type { SessionFile } from '../../sharing/ports.ts';
import type { AppDeps } from '../app.ts';
import { actorOf, callerOf } from '../auth.ts';
import { answerWith, oncePerKey } from '../idempotency.ts';
import { parseQuery, pathId } from '../requests.ts';
import { mediaContracts, uploadQuery } from '../schemas/media.ts';

/** Files that are asked for before they have been fetched may be asked for again after this many seconds. */
const PENDING_SECONDS = 10;

/** Files of sessions: storing one, and reading one by its signed link. */
export function mediaRoutes(app: FastifyInstance, { tenants, media, mediaLinkKey, style }: AppDeps): void {
  // In a scope of its own: nowhere else is a body anything but JSON.
  void app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser([...FILE_TYPES, 'image/jpg'], { parseAs: 'buffer' }, (_request, body, parsed) =>
      parsed(null, body),
    );
    scope.route({
      method: 'POST',
      url: '/v1/sessions/:session_id/media/',
      config: { needs: { resource: 'sessions', access: 'write' }, contract: mediaContracts.upload, bodySeconds: 120 },
      bodyLimit: MAX_MEDIA_BYTES,
      errorHandler: nameLimits,
      handler: upload,
    });
    done();
  });

  async function upload(request: FastifyRequest, reply: FastifyReply) {
    const { applicationId } = callerOf(request);
    const session = { applicationId, sessionId: pathId(request, 'session_id', 'session_not_found') };
    const { field } = parseQuery(uploadQuery, request);
    const { place, contentType, bytes } = fileIn(request, field);
    // The same bytes into another field are another request.
    request.bodySha256 = createHash('sha256').update(`${field}|${contentType}|`).update(bytes).digest();
    const { applicationId: owner, sessionId } = session;
    const key = await tenants.withTenant(owner, (_tx, sql) => readDataKey(sql, owner, sessionId));
    const file = { mediaId: newId(), contentType, bytes };
    const [stored] =
      key === null ? [] : await storeFiles({ tenants, media }, [{ ...file, session: { ...session, key } }]);
    const { outcome, nowSeconds } = await tenants.withTenant(applicationId, async (tx, sql) => {
      const once = await oncePerKey<SessionFile>(request, sql, {
        run: async () => {
          if (stored === undefined) throw new Refusal('session_not_found');
          await attachFile(tx, session, place, stored, actorOf(request), style);
          return { status: 201, resourceId: stored.mediaId, result: stored };
        },
        replay: (mediaId) => readSessionFile(sql, session, mediaId),
      });
      return { outcome: once, ...(await readableMedia(sql, applicationId, session.sessionId)) };
    });
    answerWith(reply, outcome);
    const { mediaId, byteLength, contentType: type } = outcome.result;
    const url = style.mediaUrl?.({ ...session, mediaId, nowSeconds });
    return { media_id: mediaId, field, content_type: type, byte_length: byteLength, url };
  }

  app.route({
    method: 'GET',
    url: '/v1/media/:session_id/:media_id/',
    config: { needs: 'public', contract: mediaContracts.read },
    handler: async (request, reply) => {
      const { session_id: sessionId, media_id: mediaId } = request.params as Readonly<Record<string, string>>;
      const query = request.query as Readonly<Record<string, unknown>>;
      const { application: applicationId, expires, signature } = query;
      const link = proveLink(mediaLinkKey, { applicationId, sessionId, mediaId, expires, signature });
      // The same answer whatever was changed, and for what never was.
      if (link === null) throw new Refusal('not_found');
      const { expired, remainingSeconds, file, key } = await tenants.withTenant(link.applicationId, (_tx, sql) =>
        readLinkedFile(sql, link),
      );
      if (expired) throw new Refusal('media_link_expired');
      if (file === null) throw new Refusal('not_found');
      if (key === null) throw new Error('a session whose files are read has a data key');
      if (file.objectKey === null) {
        void reply.header('retry-after', PENDING_SECONDS);
        throw new Refusal('media_pending');
      }
      const sealed = await media.get(file.objectKey);
      if (sealed === null) throw new Error('the store has lost an object that a session refers to');
      const opened = openFile(tenants.sealer, { ...link, key }, link.mediaId, sealed);
      return reply.headers(headersOf(mediaId, file.contentType as FileType, remainingSeconds)).send(opened);
    },
  });
}

/** Tells what this route takes; whatever else went wrong is told as everywhere. */
function nameLimits(error: { readonly code?: string }): never {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    throw new Refusal('payload_too_large', { detail: 'The file is larger than 10 MiB.' });
  }
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    throw new Refusal('unsupported_media_type', { detail: `Send the file as the body, as ${FILE_TYPES.join(', ')}.` });
  }
  throw error;
}

/** What an upload carries. @throws {Refusal} `invalid_request` on `field` or `file` */
function fileIn(request: FastifyRequest, field: string): { place: MediaField; contentType: FileType; bytes: Buffer } {
  const place = parseMediaField(field);
  if (place === null) {
    throw invalidFields({ field: ['Names no media field: write a path such as id_verifications.0.front_image.'] });
  }
  const contentType = fileTypeOf(request.headers['content-type'] ?? '');
  const bytes = request.body;
  if (contentType === null || !Buffer.isBuffer(bytes)) {
    throw invalidFields({ file: ['Send the file as the body, with its own Content-Type.'] });
  }
  const problem = fileProblem(contentType, bytes);
  if (problem !== null) throw invalidFields({ file: [problem] });
  return { place, contentType, bytes };
}

/** A file is shown or saved, and is never anything else: no script of it runs, nobody else keeps it. */
function headersOf(mediaId: string | undefined, type: FileType, remainingSeconds: number): Record<string, string> {
  const shown = type.startsWith('image/') || type.startsWith('video/');
  return {
    'content-type': type,
    'content-disposition': `${shown ? 'inline' : 'attachment'}; filename="${mediaId}.${FILE_ENDINGS[type]}"`,
    'cache-control': `private, max-age=${remainingSeconds}`,
    'content-security-policy': `sandbox; default-src 'none'`,
    // Whoever was given a link may show the picture in a page.
    'cross-origin-resource-policy': 'cross-origin',
  };
}
