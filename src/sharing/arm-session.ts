import type { SessionHome } from '../domain/decision-document.ts';
import type { Actor } from '../domain/events.ts';
import { invalidFields, Refusal } from '../domain/failures.ts';
import { checksOfFeatures, type SandboxScenario } from '../domain/sandbox/scenarios.ts';
import { announceSimulation } from './announce.ts';
import type { DecisionStyle } from './decision.ts';
import type { HandoffTransaction, SessionLifeStore, SessionRow } from './ports.ts';
import { createdChange } from './session-changes.ts';
import { simulateSession, type SandboxFiles } from './simulate.ts';
import { homeContext } from './store-content.ts';

/**
 * Has a sandbox session that was not started go a scenario's way, at once: nobody has to walk through a hosted flow.
 *
 * @throws {Refusal} `session_not_found`, `application_deleted`; `invalid_request` on `scenario` when the session is live or was started
 */
export async function armSession(
  tx: HandoffTransaction,
  store: SessionLifeStore,
  call: { readonly applicationId: string; readonly sessionId: string; readonly scenario: SandboxScenario },
  actor: Actor,
  tools: { readonly files: SandboxFiles; readonly style: DecisionStyle },
): Promise<SessionRow> {
  const { applicationId, sessionId, scenario } = call;
  const locked = await store.lock(applicationId, sessionId);
  if (locked === null) throw new Refusal('session_not_found');
  const { session, settings, now } = locked;
  if (session.environment !== 'sandbox')
    throw invalidFields({ scenario: ['Only a sandbox session can be simulated.'] });
  if (session.status !== 'Not Started') {
    throw invalidFields({ scenario: ['Scenario can only be armed before the verification starts.'] });
  }
  if (settings === null || session.workflowId === null) throw new Error('a hosted session has settings and a workflow');
  const facts = await store.creationFacts(applicationId, session.workflowId, null);
  if (facts.deleted) throw new Refusal('application_deleted');
  const [main, ...people] = simulateSession(tx, {
    session: { ...session, status: scenario.status, firstStatus: scenario.status },
    home: tx.sealer.openPayload(homeContext(session, '', 0), settings) as unknown as SessionHome,
    checks: checksOfFeatures(session.kind, facts.workflow?.features ?? []),
    now,
    peopleWorkflow: facts.peopleWorkflow,
    files: tools.files,
  });
  if (main === undefined) throw new Error('a simulation has a session');
  for (const made of [main, ...people]) tx.sessions.insertMedia(made.session, made.files);
  store.fill(main);
  tx.sessions.insertContents(applicationId, people);
  tx.events.record(
    people.map((person) => createdChange(person.session, 'simulated')),
    actor,
  );
  return (await announceSimulation(tx, main.session, actor, tools.style, session.status)).session;
}
