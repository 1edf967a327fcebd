import type { CheckCategory } from '../decision-categories.ts';
import type { JsonObject } from '../json.ts';
import type { SessionStatus } from '../session-status.ts';
import {
  companyDocuments,
  keyPeopleCheck,
  registryCheck,
  type CompanyCheckOrder,
  type Party,
} from './business-checks.ts';
import type { CheckOrder } from './check-parts.ts';
import {
  amlScreening,
  databaseValidation,
  emailVerification,
  ipAnalysis,
  phoneVerification,
  questionnaire,
  type Screened,
} from './data-checks.ts';
import { diceOf } from './dice.ts';
import {
  documentReading,
  faceMatch,
  idVerification,
  livenessCheck,
  nfcVerification,
  proofOfAddress,
} from './document-checks.ts';
import { inventCompany, inventPerson, type InventedCompany, type InventedPerson } from './people.ts';
import { planChecks, type FeatureStatus } from './scenarios.ts';

/** A session that is to be simulated. The same order always gives the same content. */
export interface SimulationOrder {
  /** Decides who it is about, and what goes wrong. */
  readonly sessionId: string;
  readonly status: SessionStatus;
  /** The checks of its verification workflow, in their order. */
  readonly checks: readonly CheckCategory[];
  /** When it happens, ISO 8601. */
  readonly now: string;
}

/** Items by array, as a decision document has them. */
export type SimulatedItems = ReadonlyMap<CheckCategory, readonly JsonObject[]>;

/** A simulated business: its own items, and the sessions of its people. */
export interface SimulatedBusiness {
  readonly items: SimulatedItems;
  readonly people: readonly {
    readonly sessionId: string;
    readonly status: SessionStatus;
    readonly items: SimulatedItems;
  }[];
}

/** How many people a simulated business has. */
export const PEOPLE_OF_A_BUSINESS = 3;

/** What the people of a simulated business go through. */
export const CHECKS_OF_PEOPLE: readonly CheckCategory[] = [
  'id_verifications',
  'liveness_checks',
  'face_matches',
  'aml_screenings',
];

/** Simulates the verification of a person who does not exist. */
export function simulateUser(order: SimulationOrder): SimulatedItems {
  return userItems(order, inventPerson(diceOf(order.sessionId)));
}

/**
 * Simulates the verification of a company that does not exist, and of its people when they have come to it.
 *
 * @param personIds ids for the people's sessions, {@link PEOPLE_OF_A_BUSINESS} of them
 */
export function simulateBusiness(order: SimulationOrder, personIds: readonly string[]): SimulatedBusiness {
  const dice = diceOf(order.sessionId);
  const company = inventCompany(dice);
  const plan = planChecks(order.status, order.checks, dice.below(order.checks.length));
  const peopleStatus = plan.get('key_people_checks') ?? 'Not Finished';
  const parties = personIds.map((sessionId, index): Party => {
    const person = inventPerson(diceOf(sessionId));
    const status = index === 0 ? personStatus(peopleStatus) : 'Approved';
    return {
      person,
      role: index === 2 ? 'secretary' : 'director',
      owns: [60, 40, null][index] ?? null,
      session: peopleStatus === 'Not Finished' ? null : { sessionId, status },
    };
  });
  const clerk = parties[0]?.person ?? inventPerson(dice);
  return {
    items: itemsOf(plan, (category, status) =>
      companyItem(category, { dice, person: clerk, status, at: new Date(order.now), company, parties }),
    ),
    people: parties.flatMap(({ person, session }) =>
      session === null
        ? []
        : [{ ...session, items: userItems({ ...order, ...session, checks: CHECKS_OF_PEOPLE }, person) }],
    ),
  };
}

function userItems({ sessionId, status, checks, now }: SimulationOrder, person: InventedPerson): SimulatedItems {
  const dice = diceOf(`${sessionId}:checks`);
  const plan = planChecks(status, checks, dice.below(checks.length));
  return itemsOf(plan, (category, found) => userItem(category, { dice, person, status: found, at: new Date(now) }));
}

function itemsOf(
  plan: ReadonlyMap<CheckCategory, FeatureStatus>,
  itemOf: (category: CheckCategory, status: FeatureStatus) => JsonObject,
): SimulatedItems {
  return new Map([...plan].map(([category, status]) => [category, [itemOf(category, status)]]));
}

/** How the person fared who decides over a business's key people. */
function personStatus(check: FeatureStatus): SessionStatus {
  if (check === 'Declined' || check === 'In Review') return check;
  return check === 'Resub Requested' ? 'In Review' : 'Approved';
}

type Maker<Order> = (order: Order) => JsonObject;

/** Checks that both kinds have. */
const SHARED_MAKERS: Readonly<Partial<Record<CheckCategory, Maker<CheckOrder>>>> = {
  phone_verifications: phoneVerification,
  email_verifications: emailVerification,
  ip_analyses: ipAnalysis,
  questionnaire_responses: questionnaire,
};

const USER_MAKERS: Readonly<Partial<Record<CheckCategory, Maker<CheckOrder>>>> = {
  ...SHARED_MAKERS,
  id_verifications: idVerification,
  nfc_verifications: nfcVerification,
  liveness_checks: livenessCheck,
  face_matches: faceMatch,
  poa_verifications: proofOfAddress,
  document_ai_documents: documentReading,
  database_validations: databaseValidation,
  aml_screenings: (order) => amlScreening(order, screenedPerson(order.person)),
};

const COMPANY_MAKERS: Readonly<Partial<Record<CheckCategory, Maker<CompanyCheckOrder>>>> = {
  ...SHARED_MAKERS,
  registry_checks: registryCheck,
  document_verifications: companyDocuments,
  key_people_checks: keyPeopleCheck,
  aml_screenings: (order) => amlScreening(order, screenedCompany(order.company)),
};

function userItem(category: CheckCategory, order: CheckOrder): JsonObject {
  const make = order.status === 'Not Finished' ? undefined : USER_MAKERS[category];
  return make?.(order) ?? unfinished(category);
}

function companyItem(category: CheckCategory, order: CompanyCheckOrder): JsonObject {
  // The people are known before they have come.
  const bare = order.status === 'Not Finished' && category !== 'key_people_checks';
  return (bare ? undefined : COMPANY_MAKERS[category]?.(order)) ?? unfinished(category);
}

function unfinished(category: CheckCategory): JsonObject {
  return { node_id: `feature_${category}_1`, status: 'Not Finished', warnings: [] };
}

function screenedPerson({ fullName, country, birthDay, documentNumber }: InventedPerson): Screened {
  return { entityType: 'person', name: fullName, nationality: country.alpha2, birthDay, documentNumber };
}

function screenedCompany({ name, country, incorporatedOn, registrationNumber }: InventedCompany): Screened {
  return {
    entityType: 'company',
    name,
    nationality: country.alpha2,
    birthDay: incorporatedOn,
    documentNumber: registrationNumber,
  };
}
