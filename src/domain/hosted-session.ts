import type { SessionKind } from './decision-categories.ts';
import type { SessionHome } from './decision-document.ts';
import type { JsonObject } from './json.ts';

/** The settings of a session that was created for a hosted flow: a decision's own, and the flow's token. */
export interface HostedSettings extends SessionHome {
  /** Its text, so that the same session can be answered again. In no decision, and in no import. */
  readonly session_token: string;
}

const BUSINESS_DETAILS: ReadonlySet<string> = new Set(['company_name', 'registry_country', 'registration_number']);

/** The expected details that a session of this kind uses (contract/didit-api.md 2.1); null when there are none. */
export function expectedDetailsFor(kind: SessionKind, details: JsonObject | null): JsonObject | null {
  const used = Object.entries(details ?? {}).filter(([name]) => BUSINESS_DETAILS.has(name) === (kind === 'business'));
  return used.length === 0 ? null : Object.fromEntries(used);
}

/** How to reach a session's customer. */
export interface ContactDetails {
  readonly email: string | null;
  /** E.164. */
  readonly phone: string | null;
  readonly email_lang: string;
  readonly send_notification_emails: boolean;
}

/** The contact details that a session of this kind uses; null when nobody can be reached by them. */
export function contactDetailsFor(kind: SessionKind, details: ContactDetails | null): JsonObject | null {
  if (details === null) return null;
  const phone = kind === 'user' ? details.phone : null;
  if (details.email === null && phone === null) return null;
  return {
    email: details.email,
    email_lang: details.email_lang,
    send_notification_emails: details.send_notification_emails,
    phone,
  };
}
