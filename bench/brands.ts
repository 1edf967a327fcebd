import { createApiKey, createApplication, createVerificationWorkflow } from '../src/accounts/applications.ts';
import { createTenants } from '../src/postgres/tenants.ts';

/** A brand with an API key and a default verification workflow of each kind. */
export interface BenchBrand {
  readonly id: string;
  readonly key: string;
}

/** Makes brands that can be used at once. */
export async function addBrands(databaseUrl: string, count: number): Promise<BenchBrand[]> {
  const tenants = createTenants({ databaseUrl, maxConnections: 1 });
  try {
    return await tenants.acrossTenants('provision', async (sql) =>
      Array.from({ length: count }, (_, index) => {
        const environment = 'sandbox';
        const id = createApplication(sql, { name: `Brand ${index + 1}`, environment });
        const { apiKey } = createApiKey(sql, { applicationId: id, environment, name: 'all' });
        for (const kind of ['user', 'business'] as const) {
          createVerificationWorkflow(sql, { applicationId: id, label: kind, kind, isDefault: true });
        }
        return { id, key: apiKey };
      }),
    );
  } finally {
    await tenants.close();
  }
}
