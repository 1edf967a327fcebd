import type { DecisionStyle, DecisionWithReferences } from './decision.ts';
import type { NewEvent, SessionRow } from './ports.ts';
import { sessionEvent } from './status-updated.ts';

/** What changed a session's content: newer words of its source, or a file that its owner put in. */
export const DATA_TRIGGERS = ['ingestion', 'file_added'] as const;
export type DataTrigger = (typeof DATA_TRIGGERS)[number];

/**
 * Didit's `data.updated` for a session whose content changed while its status stayed (contract/didit-api.md 4.4).
 *
 * @param about.cause different for each change of one session: the same cause is told once
 * @param about.businessId the entity that a business's session is of
 */
export function dataUpdatedEvent(
  session: SessionRow,
  decision: DecisionWithReferences,
  about: {
    readonly trigger: DataTrigger;
    readonly cause: string;
    readonly businessId: string | null;
    readonly style: DecisionStyle;
  },
): NewEvent {
  const event = sessionEvent('data.updated', session, decision, { ...about, reason: about.trigger, tokenId: null });
  return { ...event, body: { ...event.body, trigger: about.trigger } };
}
