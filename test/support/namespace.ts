import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../../src/domain/temporal-names.ts';

const TYPES = { Keyword: 2, Datetime: 6 } as const;

/**
 * Gives this process a Temporal namespace of its own, with our search attributes, and names it in the environment that
 * clients and workers read: task queues have fixed names, so two test files must not share a namespace.
 */
export async function useOwnNamespace(temporalAddress: string): Promise<string> {
  const namespace = await createNamespace(temporalAddress);
  process.env['TEMPORAL_ADDRESS'] = temporalAddress;
  process.env['TEMPORAL_NAMESPACE'] = namespace;
  return namespace;
}

/** Makes a namespace with our search attributes, and waits until they can be used in it. */
export async function createNamespace(temporalAddress: string): Promise<string> {
  const namespace = `test-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address: temporalAddress });
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: 86_400 as unknown as Long },
    });
    const searchAttributes = Object.fromEntries(
      Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, TYPES[type]]),
    );
    for (let attempt = 1; ; attempt += 1) {
      try {
        await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
        const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
        if (Object.keys(searchAttributes).every((name) => name in (customAttributes ?? {}))) break;
      } catch (error) {
        // A new namespace is known everywhere only after a moment.
        if (attempt >= 40) throw error;
      }
      await pause(250);
    }
  } finally {
    await connection.close();
  }
  return namespace;
}

type Long = NonNullable<
  NonNullable<
    Parameters<Connection['workflowService']['registerNamespace']>[0]['workflowExecutionRetentionPeriod']
  >['seconds']
>;
