// A process that seals everything anew, telling how far it is, line by line.
import { createBlindIndex } from '../../src/crypto/blind-index.ts';
import { parseKeyRing } from '../../src/crypto/key-ring.ts';
import { createSealer } from '../../src/crypto/payload-seal.ts';
import { openMediaStore } from '../../src/media/open-media-store.ts';
import { handoffTenants } from '../../src/postgres/handoff-tenants.ts';
import { rewrapAll } from '../../src/postgres/rotation/rewrap-all.ts';
import { createTenants } from '../../src/postgres/tenants.ts';

const [databaseUrl = '', content = '', secrets = '', folder = ''] = process.argv.slice(2);
const sealer = createSealer({ content: parseKeyRing(content), secrets: parseKeyRing(secrets) });
const tenants = createTenants({ databaseUrl });
const handoff = handoffTenants(tenants, sealer, createBlindIndex(Buffer.alloc(32, 7)));
const media = openMediaStore({ kind: 'directory', folder });
await rewrapAll({ tenants, handoff, sealer, media }, (progress) => console.log(JSON.stringify(progress)));
await tenants.close();
