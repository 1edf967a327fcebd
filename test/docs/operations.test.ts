import { describe, expect, it } from 'vitest';
import { deliveryLab, recordOf } from '../support/delivery-lab.ts';
import { codeBlocks, document } from '../support/markdown.ts';

const lab = deliveryLab();

describe('docs/operations.md', () => {
  it('has SQL lines that show how deliveries stand', async () => {
    const applicationId = await lab.application();
    const destinationId = await lab.destination(applicationId);
    const [eventId = ''] = await lab.tell(applicationId, 2);
    const [first, second] = await lab.claimAll();
    const failed = [first, second].find((claimed) => claimed?.eventId === eventId);
    const delivered = [first, second].find((claimed) => claimed?.eventId !== eventId);
    await lab.ledger.record(recordOf(failed, 'retrying'));
    await lab.ledger.record(recordOf(delivered, 'delivered'));

    const lines = codeBlocks(document('docs/operations.md'), 'sql')
      .join('\n')
      .split(';')
      .filter((line) => line.trim() !== '');
    const ids: Record<string, string> = { '<destination id>': destinationId, '<event id>': eventId };
    const shown = [];
    for (const line of lines) {
      const filled = Object.entries(ids).reduce((text, [name, value]) => text.replaceAll(name, value), line);
      expect(filled).not.toContain('<');
      shown.push(await lab.rows(filled));
    }
    expect(shown).toMatchObject([
      [
        { destination_id: destinationId, state: 'delivered', count: '1', next_at: null },
        { destination_id: destinationId, state: 'retrying', count: '1', next_at: expect.any(Date) as Date },
      ],
      [{ enabled: true, consecutive_failures: 0, circuit_open_until: null }],
      [
        {
          attempt: 1,
          trigger: 'auto',
          state: 'failed',
          reason: 'http_500',
          response_status: 500,
          delivery: 'retrying',
        },
      ],
      [{ wish: 'retry_delivery', attempts: 0 }],
    ]);
  });
});
