import { z } from 'zod';
import { passwordProblem } from '../../accounts/passwords.ts';
import { accountPostErrors, publicPostErrors } from './account-errors.ts';
import type { RouteContract } from './contract.ts';
import { errorBody } from './errors.ts';
import { text } from './fields.ts';

/** An address as people type it; case makes no difference to whose it is. */
export const email = text(254)
  .transform((address) => address.trim())
  .pipe(z.email('Enter a valid email address.'));

const newPassword = text(128).superRefine((password, context) => {
  const problem = passwordProblem(password);
  if (problem !== null) context.addIssue({ code: 'custom', message: problem });
});

/** Body of `POST /auth/v2/programmatic/register/`. */
export const registerBody = z.object({ email, password: newPassword });

/** Body of `POST /auth/v2/programmatic/verify-email/`. */
export const verifyBody = z.object({ email, code: text(20), password: newPassword.optional() });

/** What is said of the password of an address that was registered with several. */
export const CONTESTED =
  'This address was registered with several passwords. Send the code again with a `password`: it is the one that counts.';

/** Body of `POST /auth/v2/programmatic/resend-otp/`. */
export const resendBody = z.object({ email });

/** Body of `POST /auth/v2/programmatic/login/`. */
export const loginBody = z.object({ email, password: text(128) });

/** Body of `POST /auth/v2/programmatic/refresh/`. */
export const refreshBody = z.object({ refresh_token: text(200) });

/** Body of `POST /auth/v2/programmatic/logout/`: nothing is asked for. */
export const logoutBody = z.object({});

/** Query of the development route that shows codes. */
export const codeQuery = z.object({ email });

/** Tokens of a login: shown once, so null in a replay, which says so. */
const tokens = {
  access_token: z.string().nullable(),
  refresh_token: z.string().nullable(),
  expires_in: z.int(),
  secret_replayed: z.literal(true).optional(),
};

const messageReply = z.strictObject({ message: z.string() });
const registeredReply = z.strictObject({ message: z.string(), email: z.string() });
const verifiedReply = z.strictObject({
  ...tokens,
  organization: z.strictObject({ uuid: z.string(), name: z.string() }),
  application: z.strictObject({
    uuid: z.string(),
    name: z.string(),
    client_id: z.string(),
    api_key: z.string().nullable(),
  }),
});
const loggedInReply = z.strictObject({ ...tokens, message: z.string() });
const refreshedReply = z.strictObject(tokens);

const EMAIL = 'ada@aurora.example';
const TOKENS = {
  access_token: 'eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzaWQiOiIwMTljMGRlIn0.c2lnbmF0dXJl',
  refresh_token: 'hnr_9yYg0Xq0y1nqJ4S1Z8nQ2mRk5Vb7tLw3cHd6eFa2uOs',
  expires_in: 900,
};

/** Routes of people without an access token. */
export const accountContracts = {
  register: {
    operationId: 'registerAccount',
    tag: 'Accounts',
    summary: 'Register an e-mail address; a code to prove it comes by mail',
    description:
      'The answer is the same whether the address has an account or not; who has one is told so by mail. From one network address only so many an hour; 5 by default.',
    body: registerBody,
    replies: { 201: registeredReply, ...publicPostErrors, 403: errorBody },
    refusals: ['registration_closed'],
    examples: {
      body: { email: EMAIL, password: 'Correct-Horse-7' },
      replies: { 201: { message: 'A code to verify this address is on its way.', email: EMAIL } },
    },
  },
  verifyEmail: {
    operationId: 'verifyEmail',
    tag: 'Accounts',
    summary: 'Prove an e-mail address; makes an organization and its first sandbox application',
    description:
      'The application comes with a default verification workflow of each kind and an API key for everything, shown this once. A code works for 15 minutes and survives 5 wrong tries. A `password` sent here takes the place of the one that the address was registered with; it is required (400 on `password`, the code goes on working) when the address was registered with several.',
    body: verifyBody,
    replies: { 200: verifiedReply, ...publicPostErrors },
    refusals: ['one_time_code_invalid'],
    examples: {
      body: { email: EMAIL, code: 'K7PX4M' },
      replies: {
        200: {
          ...TOKENS,
          organization: { uuid: '0198c0de-0000-7000-8000-00000000000a', name: 'My organization' },
          application: {
            uuid: '0198c0de-0000-7000-8000-00000000000b',
            name: 'My application',
            client_id: 'S9LIYGSoWNuGMLHsvEt9dQ',
            api_key: 'hnd_sandbox_0f3mX8QeYb2LkW7T_2wZ0c4Qv6n8r1Ykq3Tb5Xj7Lm9Pd0Fh2Ga4Se6Ui8Ao0000aB',
          },
        },
      },
    },
  },
  resend: {
    operationId: 'resendCode',
    tag: 'Accounts',
    summary: 'Send a new code; the earlier one stops working',
    description: 'Once a minute for one address. The answer is the same whether the address waits for a code or not.',
    body: resendBody,
    replies: { 200: messageReply, ...publicPostErrors, 403: errorBody },
    refusals: ['registration_closed'],
    examples: {
      body: { email: EMAIL },
      replies: { 200: { message: 'If this address waits for a code, a new one is on its way.' } },
    },
  },
  login: {
    operationId: 'logIn',
    tag: 'Accounts',
    summary: 'Log in',
    description:
      'Every fifth wrong password in a row locks the address: for 15 minutes, from the tenth for an hour, from the twentieth for a day. An address that is not verified yet is answered as one that nobody has registered.',
    body: loginBody,
    replies: { 200: loggedInReply, ...publicPostErrors, 401: errorBody },
    refusals: ['invalid_credentials', 'account_locked'],
    examples: {
      body: { email: EMAIL, password: 'Correct-Horse-7' },
      replies: { 200: { ...TOKENS, message: 'Logged in.' } },
    },
  },
  refresh: {
    operationId: 'refreshLogin',
    tag: 'Accounts',
    summary: 'Exchange a refresh token for a new pair of tokens',
    description:
      'A refresh token works once: one that comes a second time ends its login. A login lives for 30 days at most.',
    body: refreshBody,
    replies: { 200: refreshedReply, ...publicPostErrors, 401: errorBody },
    refusals: ['authentication_failed'],
    examples: { body: { refresh_token: TOKENS.refresh_token }, replies: { 200: TOKENS } },
  },
  logout: {
    operationId: 'logOut',
    tag: 'Accounts',
    summary: 'End the login: its access and refresh tokens are dead at once',
    description: 'Other logins of the same account go on.',
    body: logoutBody,
    replies: { 200: messageReply, ...accountPostErrors },
    examples: { body: {}, replies: { 200: { message: 'Logged out.' } } },
  },
  developmentCode: {
    operationId: 'readDevelopmentCode',
    tag: 'Accounts',
    summary: 'Read the last code of an address: development only, where no mail is sent',
    query: codeQuery,
    refusals: ['not_found'],
    replies: {
      200: z.strictObject({ email: z.string(), code: z.string() }),
      400: errorBody,
      404: errorBody,
      429: errorBody,
      500: errorBody,
      503: errorBody,
    },
    examples: { replies: { 200: { email: EMAIL, code: 'K7PX4M' } } },
  },
} satisfies Record<string, RouteContract>;
