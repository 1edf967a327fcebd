// Prints the sandbox of a running `npm start` as shell variables: eval "$(npm run --silent sandbox)".
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const file = join(process.env.HANDOFF_FOLDER ?? '.handoff', 'sandbox.json');
let sandbox;
try {
  sandbox = JSON.parse(readFileSync(file, 'utf8'));
} catch {
  console.error(`There is no ${file}: run npm start first, and leave it running.`);
  process.exit(1);
}
const [issuer, partner] = ['issuer', 'partner'].map((role) => sandbox.applications.find((each) => each.role === role));
const variables = {
  HANDOFF_URL: sandbox.api_url,
  ISSUER_ID: issuer.application_id,
  ISSUER_KEY: issuer.api_key,
  PARTNER_ID: partner.application_id,
  PARTNER_KEY: partner.api_key,
  PARTNER_KYC_WORKFLOW: partner.workflows.user,
  PARTNER_KYB_WORKFLOW: partner.workflows.business,
};
for (const [name, value] of Object.entries(variables)) console.log(`export ${name}='${value}'`);
