import type { SessionKind } from '../domain/decision-categories.ts';
import { SANDBOX_IMAGES } from '../domain/sandbox/images.ts';
import { PEOPLE_OF_A_BUSINESS } from '../domain/sandbox/simulate.ts';
import { newId } from '../postgres/new-id.ts';
import type { KeyedSession } from '../sharing/ports.ts';
import type { SandboxFiles } from '../sharing/simulate.ts';
import { readDataUri } from './inline-files.ts';
import { storeFiles, type FileKeeper, type FileOfSession } from './store-files.ts';

/** In how many places of a simulated session each drawing stands at most: a file of its own for each. */
const PLACES: Readonly<Record<SessionKind, Readonly<Partial<Record<keyof typeof SANDBOX_IMAGES, number>>>>> = {
  user: { documentFront: 2, documentBack: 2, portrait: 3, selfie: 2, paper: 2 },
  business: { paper: 2 },
};

/**
 * Stores the sandbox's drawings for a session that is to be simulated, and of a business for its people, ahead of the
 * transaction that gives them to the sessions. What is not used is taken away.
 *
 * @throws {MediaStoreUnavailable} when the store does not answer
 */
export async function storeSandboxFiles(
  keeper: FileKeeper,
  main: KeyedSession,
  kind: SessionKind,
): Promise<SandboxFiles> {
  const { applicationId } = main;
  const people = Array.from({ length: kind === 'business' ? PEOPLE_OF_A_BUSINESS : 0 }, (): KeyedSession => {
    const sessionId = newId();
    return { applicationId, sessionId, key: keeper.tenants.sealer.newDataKey({ applicationId, sessionId }) };
  });
  const drawings = [...drawingsOf(main, kind), ...people.flatMap((person) => drawingsOf(person, 'user'))];
  const stored = await storeFiles(keeper, drawings);
  const filed = ({ sessionId, key }: KeyedSession) => ({
    sessionId,
    key,
    files: Map.groupBy(
      stored.filter((_file, index) => drawings[index]?.session.sessionId === sessionId),
      (file) => drawings.find(({ mediaId }) => mediaId === file.mediaId)?.image ?? '',
    ),
  });
  return { main: filed(main), people: people.map(filed) };
}

interface Drawing extends FileOfSession {
  readonly image: string;
}

function drawingsOf(session: KeyedSession, kind: SessionKind): Drawing[] {
  return Object.entries(PLACES[kind]).flatMap(([name, places]) => {
    const image = SANDBOX_IMAGES[name as keyof typeof SANDBOX_IMAGES];
    const read = readDataUri(image);
    if ('problem' in read) throw new Error(`a drawing of the sandbox is no file: ${read.problem}`);
    return Array.from({ length: places }, () => ({ session, mediaId: newId(), image, ...read }));
  });
}
