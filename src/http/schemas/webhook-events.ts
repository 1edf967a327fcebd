import { z } from 'zod';
import { ENTITY_STATUSES } from '../../domain/entity.ts';
import type { EventType } from '../../domain/events.ts';
import { ACCEPTANCES } from '../../domain/onboarding.ts';
import { renderStatus, SESSION_STATUSES } from '../../domain/session-status.ts';
import { DATA_TRIGGERS } from '../../sharing/data-updated.ts';
import { EXAMPLE_DECISION, EXAMPLE_IDS, EXAMPLE_IMPORT, EXAMPLE_TIME, EXAMPLE_TOKEN } from './examples.ts';
import { time } from './fields.ts';
import { decisionReply } from './sharing.ts';

/** One event as the OpenAPI document tells of it. */
export interface WebhookEvent {
  readonly summary: string;
  /** More than the summary says, in Markdown. */
  readonly description: string;
  /** Of the whole body. */
  readonly schema: z.ZodObject;
  /** A body as it is sent. */
  readonly example: object;
}

const id = z.uuid();

/** Members of every body. */
const envelope = {
  event_id: id.meta({ description: 'Of the event: the same for every attempt and resend. Act on each once.' }),
  timestamp: z.int().meta({ description: 'Unix seconds of this attempt, as in `X-Timestamp`.' }),
  created_at: z.int().meta({ description: 'Unix seconds of the event.' }),
  sequence: z
    .int()
    .min(1)
    .meta({
      description:
        'Rises with every event about the same session, else share, user, business or destination. Compare it only among ' +
        'events that tell the same whole state: `status.updated` and `data.updated` of a session, `user.status.updated` or ' +
        '`business.status.updated` of a customer; a lower one of those is stale. No other event ever is, whatever you saw ' +
        'before it. Numbers of events that you did not subscribe to are missing.',
    }),
  application_id: id.meta({ description: 'The application that is told.' }),
  environment: z.enum(['sandbox', 'live']),
};

/** A member that a body can be without, and what then stands in its place. */
function omittable<Name extends string, Member extends z.ZodType>(name: Name, member: Member) {
  const omitted = z
    .literal(true)
    .optional()
    .meta({ description: `\`${name}\` was left out of this body.` });
  return { [name]: member.optional(), [`${name}_omitted`]: omitted } as Record<Name, z.ZodOptional<Member>> &
    Record<`${Name}_omitted`, typeof omitted>;
}

const sessionStatus = z.enum([
  ...SESSION_STATUSES,
  ...SESSION_STATUSES.map((status) => renderStatus('business', status, 'upper')),
]);
const sessionKind = z.enum(['user', 'business']);
// Short, well-formed text fits into every body.
const vendorData = z.string().nullable();

const session = {
  ...envelope,
  session_id: id,
  session_kind: sessionKind,
  business_session_id: id.optional().meta({ description: 'Of a business: the same as `session_id`.' }),
  vendor_business_id: id.nullable().optional().meta({ description: 'Of a business: its `didit_internal_id`.' }),
  status: sessionStatus,
  workflow_id: id.nullable(),
  workflow_version: z.int(),
  vendor_data: vendorData,
  ...omittable('metadata', z.unknown()),
  ...omittable('decision', decisionReply),
};
const resubmitInfo = z.strictObject({
  nodes_to_resubmit: z.array(z.strictObject({ node_id: z.string(), feature: z.string() })),
  reasons: z.array(z.strictObject({ node_id: z.string(), risks: z.array(z.string()) })),
});

const entityStatus = z.enum(ENTITY_STATUSES);
const entity = { ...envelope, vendor_data: vendorData, status: entityStatus };
const user = { ...entity, vendor_user_id: id };
const business = { ...entity, vendor_business_id: id };
const statusChange = { previous_status: entityStatus };
const dataChange = {
  changed_fields: z.array(z.string()).min(1),
  ...omittable('changes', z.record(z.string(), z.strictObject({ previous: z.unknown(), current: z.unknown() }))),
};

const share = {
  ...envelope,
  token_id: id,
  session_kind: sessionKind,
  issuer_application_id: id,
  partner_application_id: id,
};
const ending = {
  ...share,
  session_id: id.optional().meta({ description: 'Your own session: the issuer’s source. A partner has none.' }),
};
const reason = z.string().meta({ description: 'A stable code.' });

const destination = {
  ...envelope,
  destination_id: id,
  label: z.string(),
};

/** A body's schema under the event's own name: `user.status.updated` is `UserStatusUpdatedEvent`. */
function bodyOf<Type extends EventType, Shape extends z.core.$ZodLooseShape>(type: Type, shape: Shape) {
  const name = type.replaceAll(/(?:^|\.)([a-z])/g, (_all, first: string) => first.toUpperCase());
  return z.strictObject({ webhook_type: z.literal(type), ...shape }).meta({ id: `${name}Event` });
}

const SECONDS = Math.floor(Date.parse(EXAMPLE_TIME) / 1000);
const sent = (type: EventType) => ({
  application_id: EXAMPLE_IDS.issuer,
  created_at: SECONDS,
  environment: 'sandbox',
  event_id: EXAMPLE_IDS.event,
  sequence: 1,
  timestamp: SECONDS + 1,
  webhook_type: type,
});
const sentOfSession = (type: EventType, decision: typeof EXAMPLE_DECISION | typeof EXAMPLE_IMPORT) => ({
  ...sent(type),
  session_id: decision.session_id,
  session_kind: 'user',
  status: decision.status,
  vendor_data: decision.vendor_data,
  workflow_id: decision.workflow_id,
  workflow_version: 1,
  metadata: decision.metadata,
  decision,
});
const sentOfShare = (type: EventType, members: object) => ({
  ...sent(type),
  token_id: EXAMPLE_IDS.token,
  session_kind: 'user',
  issuer_application_id: EXAMPLE_IDS.issuer,
  partner_application_id: EXAMPLE_IDS.partner,
  ...members,
});
const sentOfDestination = (type: EventType, members: object) => ({
  ...sent(type),
  destination_id: EXAMPLE_IDS.destination,
  label: 'Production',
  ...members,
});

const ISSUER_SESSION = { session_id: EXAMPLE_IDS.session };
const OMITTED =
  'Members that a signed body cannot carry (over 64 KiB in all, or outside of the JSON that all languages write alike) ' +
  'are left out, with `<member>_omitted: true` in their place.';
const WITH_DECISION =
  `With \`decision\` when the status is approved, declined, in review or abandoned; a destination in \`thin\` mode reads it ` +
  `at \`GET /v3/session/{session_id}/decision/\`. ${OMITTED}`;
const OF_ENTITY =
  'Tells what changed and not the rest, so it is never stale: apply it in the order of `sequence`, and read the API where ' +
  `a number is missing. ${OMITTED} A destination in \`thin\` mode gets no \`changes\`.`;

/** What every event says, with an example of each. */
export const WEBHOOK_EVENTS = {
  'status.updated': {
    summary: 'A session came to a status',
    description: `Also tells of a session that was imported or has come from its source. ${WITH_DECISION}`,
    schema: bodyOf('status.updated', { ...session, ...omittable('resubmit_info', resubmitInfo) }),
    example: {
      ...sentOfSession('status.updated', EXAMPLE_IMPORT),
      application_id: EXAMPLE_IDS.partner,
    },
  },
  'data.updated': {
    summary: 'The content of a session changed, its status did not',
    description: `\`trigger\` says by what: newer words of its source, or a file of your own. ${WITH_DECISION}`,
    schema: bodyOf('data.updated', { ...session, trigger: z.enum(DATA_TRIGGERS) }),
    example: { ...sentOfSession('data.updated', EXAMPLE_DECISION), sequence: 2, trigger: 'ingestion' },
  },
  'user.status.updated': {
    summary: 'A user was flagged, blocked or made active again',
    description: 'By a call of yours. A blocked one is refused sessions and imports.',
    schema: bodyOf('user.status.updated', { ...user, ...statusChange }),
    example: {
      ...sent('user.status.updated'),
      vendor_user_id: EXAMPLE_IDS.entity,
      vendor_data: 'customer-42',
      status: 'BLOCKED',
      previous_status: 'ACTIVE',
    },
  },
  'user.data.updated': {
    summary: 'What you say of a user changed',
    description: OF_ENTITY,
    schema: bodyOf('user.data.updated', { ...user, ...dataChange }),
    example: {
      ...sent('user.data.updated'),
      vendor_user_id: EXAMPLE_IDS.entity,
      vendor_data: 'customer-42',
      status: 'ACTIVE',
      changed_fields: ['display_name'],
      changes: { display_name: { previous: null, current: 'Ada' } },
    },
  },
  'business.status.updated': {
    summary: 'A business was flagged, blocked or made active again',
    description: 'By a call of yours. A blocked one is refused sessions and imports.',
    schema: bodyOf('business.status.updated', { ...business, ...statusChange }),
    example: {
      ...sent('business.status.updated'),
      vendor_business_id: EXAMPLE_IDS.entity,
      vendor_data: 'company-7',
      status: 'FLAGGED',
      previous_status: 'ACTIVE',
    },
  },
  'business.data.updated': {
    summary: 'What you say of a business changed',
    description: OF_ENTITY,
    schema: bodyOf('business.data.updated', { ...business, ...dataChange }),
    example: {
      ...sent('business.data.updated'),
      vendor_business_id: EXAMPLE_IDS.entity,
      vendor_data: 'company-7',
      status: 'ACTIVE',
      changed_fields: ['registration_number'],
      changes: { registration_number: { previous: null, current: '01234567' } },
    },
  },
  'share.minted': {
    summary: 'A share token was minted for one of your sessions',
    description: 'To the issuer. The token itself is in the answer of the call that minted it, and nowhere else.',
    schema: bodyOf('share.minted', { ...share, session_id: id, expires_at: time }),
    example: sentOfShare('share.minted', { ...ISSUER_SESSION, expires_at: '2026-11-23T10:15:00.000Z' }),
  },
  'share.received': {
    summary: 'A session is shared with you',
    description:
      'To the partner of an onboarding, with the token until it expires. Without a token it is the notice of an import ' +
      'that happens by itself. It is never held: without an enabled destination for it the share ends as `undeliverable`.',
    schema: bodyOf('share.received', {
      ...share,
      acceptance: z.enum(ACCEPTANCES).meta({ description: 'What is awaited of you.' }),
      expires_at: time,
      share_token: z.string().optional().meta({ description: 'A secret: whoever has it and your key can import.' }),
    }),
    example: sentOfShare('share.received', {
      application_id: EXAMPLE_IDS.partner,
      acceptance: 'acknowledge',
      expires_at: '2026-11-23T10:15:00.000Z',
      share_token: EXAMPLE_TOKEN,
    }),
  },
  'share.imported': {
    summary: 'A shared session was imported',
    description: 'To the issuer with its source; to a partner whom the share was sent to with its new session.',
    schema: bodyOf('share.imported', { ...share, session_id: id.meta({ description: 'Your own session.' }) }),
    example: sentOfShare('share.imported', { ...ISSUER_SESSION, sequence: 2 }),
  },
  'share.refused': {
    summary: 'The partner refused a share',
    description: 'To both sides. `partner_reason` is what the partner said of it.',
    schema: bodyOf('share.refused', { ...ending, reason, partner_reason: z.string().optional() }),
    example: sentOfShare('share.refused', {
      ...ISSUER_SESSION,
      sequence: 2,
      reason: 'refused_by_partner',
      partner_reason: 'not our customer',
    }),
  },
  'share.revoked': {
    summary: 'A share was revoked',
    description: 'To the issuer, and to a partner whom it was sent to. The token works no more.',
    schema: bodyOf('share.revoked', { ...ending, reason }),
    example: sentOfShare('share.revoked', { ...ISSUER_SESSION, sequence: 2, reason: 'revoked_by_issuer' }),
  },
  'share.expired': {
    summary: 'A share ran out unused',
    description: 'To the issuer, and to a partner whom it was sent to.',
    schema: bodyOf('share.expired', ending),
    example: sentOfShare('share.expired', { ...ISSUER_SESSION, sequence: 2 }),
  },
  'share.undeliverable': {
    summary: 'The token of a share could not be delivered',
    description:
      'To the issuer, and to a partner whom it was sent to. `reason` says why: the partner may have to mend its destination.',
    schema: bodyOf('share.undeliverable', { ...ending, reason }),
    example: sentOfShare('share.undeliverable', { ...ISSUER_SESSION, sequence: 2, reason: 'no_destination' }),
  },
  'share.rejected': {
    summary: 'The import of a share was refused by a rule',
    description: 'To the issuer, and to a partner whom it was sent to. `reason` is the code that the import answers.',
    schema: bodyOf('share.rejected', { ...ending, reason }),
    example: sentOfShare('share.rejected', { ...ISSUER_SESSION, sequence: 2, reason: 'source_session_gone' }),
  },
  'webhook.ping': {
    summary: 'A test of a destination',
    description: 'Goes to that destination alone, also to one that did not subscribe to it, and stands for nothing.',
    schema: bodyOf('webhook.ping', { ...destination, metadata: z.strictObject({ test_webhook: z.literal(true) }) }),
    example: sentOfDestination('webhook.ping', { metadata: { test_webhook: true } }),
  },
  'webhook.failing': {
    summary: 'Nothing gets through to one of your destinations',
    description: 'At half and at three quarters of the time after which it is switched off.',
    schema: bodyOf('webhook.failing', {
      ...destination,
      failing_since: time,
      percent: z.int(),
      disabled_after: time.meta({ description: 'When it is switched off, if nothing gets through until then.' }),
    }),
    example: sentOfDestination('webhook.failing', {
      failing_since: EXAMPLE_TIME,
      percent: 50,
      disabled_after: '2026-11-28T09:15:00.123456Z',
    }),
  },
  'webhook.disabled': {
    summary: 'One of your destinations was switched off',
    description:
      'Deliveries are held for it, and go out once you enable it again. Not `share.received`: as long as none of your ' +
      'destinations is enabled for it, whatever is shared with you is lost.',
    schema: bodyOf('webhook.disabled', {
      ...destination,
      reason: z.enum(['gone', 'receiver', 'failing', 'blocked']),
      disabled_at: time,
    }),
    example: sentOfDestination('webhook.disabled', { reason: 'failing', disabled_at: EXAMPLE_TIME }),
  },
} satisfies Readonly<Record<EventType, WebhookEvent>>;
