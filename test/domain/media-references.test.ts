import { describe, expect, it } from 'vitest';
import { readDecision } from '../../src/domain/decision-intake.ts';
import type { JsonObject } from '../../src/domain/json.ts';
import { parseMediaField, setMediaField } from '../../src/domain/media-fields.ts';
import {
  mediaReference,
  putLinksInDecision,
  putLinksInItem,
  referencedMediaId,
  replaceMedia,
  takeOutLinks,
} from '../../src/domain/media-references.ts';
import { sampleDocument } from '../support/share-lab.ts';

const ID = '0190b0de-61b7-7f02-8a55-0c2d4e6f8a90';

function checksOf(sample: string) {
  const reading = readDecision(sampleDocument(sample));
  if (!reading.ok) throw new Error('a sample reads without a problem');
  return reading.checks;
}

describe('media fields', () => {
  it.each(['kyc-approved', 'kyc-approved-non-latin', 'kyc-declined', 'kyb-approved', 'kyb-in-review'])(
    'are all files of %s, and no other link',
    (sample) => {
      const media: string[] = [];
      const checks = checksOf(sample);
      replaceMedia(checks, (text) => {
        media.push(text);
        return text;
      });
      const text = JSON.stringify(checks.map(({ shared }) => shared));
      // Pictures of adverse media are its publishers'.
      const links = text.match(/https:\/\/media\.example\/(?!logos\/|news\/)[^"]+/g) ?? [];
      expect(media.sort()).toEqual(links.sort());
      expect(media.length).toBeGreaterThan(0);
    },
  );

  it('leave everything else of a check as it is', () => {
    expect(replaceMedia(checksOf('kyc-approved'), (text) => text)).toEqual(checksOf('kyc-approved'));
  });
});

describe('references', () => {
  it('name a media id and nothing else', () => {
    expect(referencedMediaId(mediaReference(ID))).toBe(ID);
    for (const text of [ID, `handoff-media:${ID} `, 'handoff-media:', `x-handoff-media:${ID}`, '']) {
      expect(referencedMediaId(text)).toBeNull();
    }
  });

  it('take the place of https links alone, each its own', () => {
    let serial = 0;
    const shared = { front_image: 'https://a/', back_image: 'http://a/', extra_files: ['https://b/', null, 'text'] };
    const { checks, remote } = takeOutLinks(
      [{ category: 'id_verifications', position: 0, shared }],
      () => `${++serial}`,
    );
    expect(remote).toEqual([
      { mediaId: '1', url: 'https://a/' },
      { mediaId: '2', url: 'https://b/' },
    ]);
    expect(checks[0]?.shared).toEqual({
      front_image: 'handoff-media:1',
      back_image: 'http://a/',
      extra_files: ['handoff-media:2', null, 'text'],
    });
  });

  it('become links where media stands, and nowhere else; null where there is no link', () => {
    const item = {
      portrait_image: mediaReference(ID),
      extra_files: [mediaReference(ID), 'https://a/', 'handoff-media:none'],
      address: mediaReference(ID),
      deep: [{ portrait: mediaReference(ID) }],
    };
    expect(putLinksInItem('id_verifications', item, () => 'link')).toEqual({
      portrait_image: 'link',
      extra_files: ['link', 'https://a/', null],
      address: mediaReference(ID),
      deep: [{ portrait: 'link' }],
    });
    expect(putLinksInItem('id_verifications', item, () => null)).toMatchObject({ portrait_image: null });
    expect(putLinksInItem('aml_screenings', item, () => 'link')).toBe(item);
  });

  it('become the same links under both names of an array, in a decision that is left alone', () => {
    const items = [{ document_file: mediaReference(ID) }];
    const decision: JsonObject = { status: 'Approved', poa_verifications: items, proof_of_address: items, reviews: [] };
    expect(putLinksInDecision(decision, () => 'link')).toEqual({
      status: 'Approved',
      poa_verifications: [{ document_file: 'link' }],
      proof_of_address: [{ document_file: 'link' }],
      reviews: [],
    });
    expect(items).toEqual([{ document_file: mediaReference(ID) }]);
  });
});

describe('the path to a media field', () => {
  it('is read with either name of an array', () => {
    const place = { category: 'poa_verifications', position: 1, path: ['extra_files', '0'] };
    expect(parseMediaField('poa_verifications.1.extra_files.0')).toEqual(place);
    expect(parseMediaField('proof_of_address.1.extra_files.0')).toEqual(place);
    for (const text of ['', 'poa_verifications.1', 'poa_verifications.01.document_file', 'x.0.document_file']) {
      expect(parseMediaField(text)).toBeNull();
    }
  });

  it('sets own members only, and at most a hundred of a list', () => {
    const full: JsonObject = { extra_files: Array.from({ length: 100 }, () => 'x') };
    expect(setMediaField(full, ['extra_files', '100'], 'y')).toBeUndefined();
    expect(setMediaField(full, ['extra_files', '99'], 'y')).toBe('x');
    expect(setMediaField({}, ['constructor', 'portrait'], 'y')).toBeUndefined();
    expect(setMediaField({ front_image: { a: 1 } }, ['front_image'], 'y')).toBeUndefined();
  });
});
