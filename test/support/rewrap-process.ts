// A process that seals everything anew, telling how far it is, line by line.
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import { rewrapAll } from '../../src/postgres/rotation/rewrap-all.ts';
import { createTenants } from '../../src/postgres/tenants.ts';

const [databaseUrl = '', content = '', secrets = ''] = process.argv.slice(2);
const sealer = createSealer({ content: parseKeyRing(content), secrets: parseKeyRing(secrets) });
const tenants = createTenants({ databaseUrl });
await rewrapAll({ tenants, sealer }, (progress) => console.log(JSON.stringify(progress)));
await tenants.close();
