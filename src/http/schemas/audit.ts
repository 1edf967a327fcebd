import { z } from 'zod';
import { ACTOR_KINDS, AUDIT_EVENT_TYPES, EVENT_TYPES } from '../../domain/events.ts';
import { pageQuery } from '../paging.ts';
import { trailContract } from './audit-session.ts';
import { auditEvent, EXAMPLE_AUDIT_EVENT } from './audit-event.ts';
import type { RouteContract } from './contract.ts';
import { anyRouteErrors, errorBody } from './errors.ts';
import { EXAMPLE_IDS, EXAMPLE_TIME, examplePage } from './examples.ts';
import { instant, oneOf, ours, text, uuid } from './fields.ts';
import { pageReply } from './pages.ts';

const span = {
  since: instant.optional().meta({ format: 'date-time', description: 'Events of this time and later.' }),
  until: instant.optional().meta({ format: 'date-time', description: 'Events of this time and earlier.' }),
};

/** Query of `GET /v1/audit/`. */
export const auditQuery = ours({
  ...pageQuery,
  ...span,
  type: oneOf([...EVENT_TYPES, ...AUDIT_EVENT_TYPES])
    .optional()
    .meta({ description: 'What happened.' }),
  session_id: uuid.optional().meta({ format: 'uuid', description: 'Events about this session of yours.' }),
  token_id: uuid.optional().meta({ format: 'uuid', description: 'Events about this share token.' }),
  subject_id: uuid.optional().meta({ format: 'uuid', description: 'Events about what has this id.' }),
  actor_kind: oneOf(ACTOR_KINDS).optional().meta({ description: 'What sort of actor did it.' }),
  actor_id: text(128).optional().meta({ description: 'Who did it: the id of a key, a person or a run.' }),
  request_id: text(128).optional().meta({ description: 'The `X-Request-Id` of the call that did it.' }),
});

/** Query of `GET /v1/audit/export/`. */
export const exportQuery = ours(span);

const HASH = 'b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c';

const EXPORT_EXAMPLE = [
  {
    after_chain_sha256: HASH,
    after_position: 0,
    application_id: EXAMPLE_IDS.issuer,
    exported_at: EXAMPLE_TIME,
    format: 'handoff audit export v1',
    kind: 'header',
    since: EXAMPLE_TIME,
    until: null,
  },
  { kind: 'link', position: 1, row_sha256: HASH, sealed_at: EXAMPLE_TIME },
  { anchors: 0, events: 0, kind: 'end', links: 1 },
]
  .map((line) => `${JSON.stringify(line)}\n`)
  .join('');

export const auditContracts = {
  list: {
    operationId: 'listAuditEvents',
    tag: 'Audit',
    summary: 'List what happened in your application, newest first',
    description:
      'Every change that a call, a run or the service itself makes: who did it, in which call, why, and the hashes of the ' +
      'state before and after. Nothing here holds personal data. `place` is where the event stands in the sealed chain of ' +
      'your application, and `null` for the few seconds until it is sealed.',
    query: auditQuery,
    replies: { 200: pageReply(auditEvent), ...anyRouteErrors, 400: errorBody },
    examples: { replies: { 200: examplePage(EXAMPLE_AUDIT_EVENT) } },
  },
  export: {
    operationId: 'exportAuditTrail',
    tag: 'Audit',
    summary: 'Export your sealed audit trail, to be verified offline',
    description:
      'NDJSON, as it stands at the first line: a header, copies of the signed anchors, the rows of the chain in their ' +
      'order, and an end. An event outside the time that is asked for is a bare link of the chain, which tells no more of ' +
      'it than when it was sealed, and lets the rest be proven. A file without its last line was cut off. ' +
      '`npm run audit -- verify FILE` verifies one without our database.',
    query: exportQuery,
    replyType: 'application/x-ndjson',
    replies: { 200: z.string(), ...anyRouteErrors, 400: errorBody },
    examples: { byType: { 'application/x-ndjson': EXPORT_EXAMPLE } },
  },
  session: trailContract,
} satisfies Record<string, RouteContract>;
