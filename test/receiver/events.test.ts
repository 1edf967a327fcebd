import { expect, expectTypeOf, it } from 'vitest';
import type { z } from 'zod';
import { EVENT_TYPES, type EventType } from '../../src/domain/events.ts';
import { WEBHOOK_EVENTS } from '../../src/http/schemas/webhook-events.ts';
import { stateSubjectOf, type EventOf, type HandoffWebhookEvent } from '../../src/receiver/index.ts';

/** What is sent of a type, by the schema in the OpenAPI document: JSON holds no `undefined`. */
type Sent<Type extends EventType> = Defined<z.infer<(typeof WEBHOOK_EVENTS)[Type]['schema']>>;
type Defined<Body> = { [Member in keyof Body]: Exclude<Body[Member], undefined> };
/** The types of events whose bodies the receiver's types do not tell of. */
type Untold = { [Type in EventType]: Sent<Type> extends EventOf<Type> ? never : Type }[EventType];
/** The types of events that have a member in their schema that the receiver's types do not know. */
type Incomplete = {
  [Type in EventType]: Exclude<keyof Sent<Type>, keyof EventOf<Type>> extends never ? never : Type;
}[EventType];

it('knows every event that is sent, and each by the body that it is sent with', () => {
  expectTypeOf<HandoffWebhookEvent['webhook_type']>().toEqualTypeOf<EventType>();
  expectTypeOf<Untold>().toBeNever();
  expectTypeOf<Incomplete>().toBeNever();
});

it('says of which events the number orders states, and whose', () => {
  const subjects = EVENT_TYPES.map((type) => {
    const event = WEBHOOK_EVENTS[type].example as unknown as HandoffWebhookEvent;
    const subject = stateSubjectOf(event);
    const member = Object.entries(event).find(([name, value]) => name.endsWith('_id') && value === subject);
    return [type, subject === null ? null : member?.[0]];
  });
  const told = subjects.filter(([, member]) => member !== null);
  expect(Object.fromEntries(told)).toEqual({
    'status.updated': 'session_id',
    'data.updated': 'session_id',
    'user.status.updated': 'vendor_user_id',
    'business.status.updated': 'vendor_business_id',
  });
});

it('takes an event that is younger than the module for none of a state', () => {
  const event: unknown = { webhook_type: 'share.sent', session_id: 's', sequence: 1 };
  expect(stateSubjectOf(event as HandoffWebhookEvent)).toBeNull();
});
