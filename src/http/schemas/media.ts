import { z } from 'zod';
import { FILE_TYPES } from '../../media/file-types.ts';
import type { RouteContract } from './contract.ts';
import { errorBody, postErrors, publicErrors } from './errors.ts';
import { text } from './fields.ts';

const SESSION = '0190b0de-5a3e-7c41-9d2f-6f0f3a9b7c11';
const MEDIA = '0190b0de-61b7-7f02-8a55-0c2d4e6f8a90';
const LINK =
  `https://api.example.com/v1/media/${SESSION}/${MEDIA}/?application=0190b0de-0000-7000-8000-00000000000a` +
  '&expires=1780000000&signature=Zk1vYy0tbm90LWEtcmVhbC1zaWduYXR1cmUtYXQtYWxs';

/** Query of `POST /v1/sessions/{session_id}/media/`. */
export const uploadQuery = z.object({
  field: text(300).meta({ description: 'Dotted path to a media field: `id_verifications.0.front_image`.' }),
});

/** A file that was stored, and the caller's own link to it. */
export const uploadReply = z.strictObject({
  media_id: z.uuid(),
  field: z.string(),
  content_type: z.enum(FILE_TYPES),
  byte_length: z.int().positive(),
  url: z.url(),
});

/** Query of a link. Whoever changes any of it has no link. */
export const linkQuery = z.object({
  application: z.uuid().meta({ description: 'The application whose link it is.' }),
  expires: z.string().meta({ description: 'Unix seconds.' }),
  signature: z.string().meta({ description: 'Over all of the link, by us.' }),
});

export const mediaContracts = {
  upload: {
    operationId: 'uploadSessionMedia',
    tag: 'Media',
    summary: 'Store a file in a media field of a session',
    description:
      `The body is the file itself, at most 10 MiB, with its own Content-Type: ${FILE_TYPES.join(', ')}. It takes the ` +
      'place of what the field held. In a list of files, the index after the last adds one. Your destinations are told ' +
      '(`data.updated`).',
    query: uploadQuery,
    bodyType: 'image/png',
    otherBodyTypes: FILE_TYPES.filter((type) => type !== 'image/png'),
    body: z.string().meta({ format: 'binary' }),
    replies: { 201: uploadReply, ...postErrors },
    refusals: ['session_not_found'],
    examples: {
      replies: {
        201: {
          media_id: MEDIA,
          field: 'id_verifications.0.front_image',
          content_type: 'image/png',
          byte_length: 48213,
          url: LINK,
        },
      },
    },
  },
  read: {
    operationId: 'readMedia',
    tag: 'Media',
    summary: 'Read a file by its signed link',
    description:
      'Links stand in decisions, in place of images and files. Each is one application’s own, lives for 15 minutes and ' +
      'dies with the session; read the session again for a fresh one. It needs no API key: the signature is the proof.',
    query: linkQuery,
    replyType: 'image/png',
    otherReplyTypes: FILE_TYPES.filter((type) => type !== 'image/png'),
    replies: { 200: z.string().meta({ format: 'binary' }), 403: errorBody, 404: errorBody, ...publicErrors },
    refusals: ['not_found', 'media_link_expired', 'media_pending'],
  },
} satisfies Record<string, RouteContract>;
