import type { Dice } from './dice.ts';

/** A country of the invented people, with telephone numbers that are reserved for fiction there. */
export interface Country {
  readonly alpha2: string;
  readonly alpha3: string;
  readonly name: string;
  readonly demonym: string;
  readonly city: string;
  readonly region: string;
  readonly timeZone: string;
  readonly timeZoneOffset: string;
  readonly phonePrefix: string;
  /** The number's beginning after the prefix; digits follow. */
  readonly phone: string;
  readonly phoneDigits: number;
  readonly position: { readonly latitude: number; readonly longitude: number };
}

const COUNTRIES: readonly Country[] = [
  {
    alpha2: 'GB',
    alpha3: 'GBR',
    name: 'United Kingdom',
    demonym: 'British',
    city: 'Sampleford',
    region: 'Testshire',
    timeZone: 'Europe/London',
    timeZoneOffset: '+0000',
    phonePrefix: '+44',
    phone: '7700900',
    phoneDigits: 3,
    position: { latitude: 51.4816, longitude: -3.1791 },
  },
  {
    alpha2: 'FR',
    alpha3: 'FRA',
    name: 'France',
    demonym: 'French',
    city: 'Saint-Exemple',
    region: 'Région Modèle',
    timeZone: 'Europe/Paris',
    timeZoneOffset: '+0100',
    phonePrefix: '+33',
    phone: '639980',
    phoneDigits: 3,
    position: { latitude: 47.3215, longitude: 5.0415 },
  },
  {
    alpha2: 'US',
    alpha3: 'USA',
    name: 'United States',
    demonym: 'American',
    city: 'Mockville',
    region: 'Placeholder County',
    timeZone: 'America/Chicago',
    timeZoneOffset: '-0600',
    phonePrefix: '+1',
    phone: '20255501',
    phoneDigits: 2,
    position: { latitude: 41.8781, longitude: -87.6298 },
  },
];

const FIRST_NAMES = {
  F: ['Alma', 'Zoé', 'Priya', 'Hanako', 'Ingrid', 'Aoife'],
  M: ['Bertram', 'Étienne', 'Callum', 'Rafael', 'Anders', 'Kofi'],
} as const;
const LAST_NAMES = ['Sandbox', 'Testwright', 'Mockford', 'Modèle-Fictif', 'Examplewala', 'Placeholder'] as const;
const DOCUMENTS = ['Passport', 'Identity Card', "Driver's License"] as const;

/** Somebody who does not exist. */
export interface InventedPerson {
  readonly firstName: string;
  readonly lastName: string;
  readonly fullName: string;
  readonly gender: 'F' | 'M';
  /** `YYYY-MM-DD`, as all days here. */
  readonly birthDay: string;
  readonly country: Country;
  readonly street: string;
  readonly postalCode: string;
  /** Street, postal code, city and country in one line. */
  readonly address: string;
  readonly email: string;
  /** After the country's prefix. */
  readonly phone: string;
  readonly documentType: (typeof DOCUMENTS)[number];
  readonly documentNumber: string;
  readonly personalNumber: string;
}

/** A company that does not exist. */
export interface InventedCompany {
  readonly name: string;
  readonly registrationNumber: string;
  readonly country: Country;
  readonly address: string;
  readonly incorporatedOn: string;
  readonly email: string;
  readonly website: string;
}

/** Invents a person. The names, addresses and numbers are made up or reserved for examples. */
export function inventPerson(dice: Dice): InventedPerson {
  const country = dice.pick(COUNTRIES);
  const gender = dice.pick(['F', 'M']);
  const firstName = dice.pick(FIRST_NAMES[gender]);
  const lastName = dice.pick(LAST_NAMES);
  const serial = dice.digits(4);
  const street = `${1 + dice.below(99)} Sandbox Street`;
  const postalCode = `9${dice.digits(4)}`;
  return {
    firstName,
    lastName,
    fullName: `${firstName} ${lastName}`,
    gender,
    birthDay: day(1960 + dice.below(40), dice),
    country,
    street,
    postalCode,
    address: `${street}, ${postalCode} ${country.city}, ${country.name}`,
    email: `sandbox.${serial}@example.com`,
    phone: country.phone + dice.digits(country.phoneDigits),
    documentType: dice.pick(DOCUMENTS),
    documentNumber: `SBX${dice.digits(6)}`,
    personalNumber: `00000${serial}`,
  };
}

/** Invents a company. */
export function inventCompany(dice: Dice): InventedCompany {
  const country = dice.pick(COUNTRIES);
  const word = dice.pick(['Quillmere', 'Farrowby', 'Nettlecombe', 'Oakmoor', 'Pellworth']);
  const domain = `${word.toLowerCase()}.example`;
  return {
    name: `${word} Sandbox ${dice.pick(['Holdings', 'Trading', 'Services'])} Ltd`,
    registrationNumber: `000${dice.digits(5)}`,
    country,
    address: `${1 + dice.below(99)} Sandbox Street, 9${dice.digits(4)} ${country.city}, ${country.name}`,
    incorporatedOn: day(2005 + dice.below(15), dice),
    email: `office@${domain}`,
    website: `https://${domain}`,
  };
}

function day(year: number, dice: Dice): string {
  return `${year}-${String(1 + dice.below(12)).padStart(2, '0')}-${String(1 + dice.below(28)).padStart(2, '0')}`;
}
