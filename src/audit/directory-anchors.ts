import { createReadStream } from 'node:fs';
import { mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { anchorText, type Anchor } from './anchors.ts';
import { AnchorStoreUnavailable, type AnchorLine, type AnchorStore } from './ports.ts';

const FILE = /^anchors-\d{4}-\d{2}-\d{2}\.ndjson$/;

/** One file of lines for each day of anchors, in a folder that the database's host should not be able to write. */
export function directoryAnchors(folder: string): AnchorStore {
  return {
    append: async (anchors) => {
      const days = Map.groupBy(anchors, ({ anchored_at }) => anchored_at.slice(0, 10));
      try {
        for (const [day, ofDay] of days) await append(folder, `anchors-${day}.ndjson`, ofDay);
      } catch (error) {
        throw unavailable(error);
      }
    },
    lines: () => lines(folder),
    close: () => Promise.resolve(),
  };
}

async function append(folder: string, name: string, anchors: readonly Anchor[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = await open(join(folder, name), 'a+', 0o600);
  try {
    const { size } = await file.stat();
    // A write that died left half a line: it ends here, and harms no other.
    const begun = size > 0 && (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString() !== '\n';
    await file.appendFile((begun ? '\n' : '') + anchors.map(anchorText).join(''));
    await file.sync();
    if (size > 0) return;
  } finally {
    await file.close();
  }
  // The name of a new file, too, has to outlive a loss of power.
  const parent = await open(folder, 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

async function* lines(folder: string): AsyncGenerator<AnchorLine> {
  try {
    const names = await readdir(folder).catch(noneWhenMissing);
    for (const name of names.filter((each) => FILE.test(each)).toSorted()) {
      let number = 0;
      for await (const text of createInterface({ input: createReadStream(join(folder, name)), crlfDelay: Infinity })) {
        number += 1;
        if (text !== '') yield { place: `${name}:${number}`, text };
      }
    }
  } catch (error) {
    throw unavailable(error);
  }
}

/** Before the first anchor there is no folder. */
function noneWhenMissing(error: unknown): string[] {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
  throw error;
}

/** The message holds the code alone: paths are the machine's. */
function unavailable(error: unknown): AnchorStoreUnavailable {
  return new AnchorStoreUnavailable(`directory: ${(error as NodeJS.ErrnoException).code ?? 'failed'}`);
}
