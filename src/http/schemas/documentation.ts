import { z } from 'zod';
import type { RouteContract } from './contract.ts';
import { publicErrors } from './errors.ts';

export const documentationContracts = {
  openapi: {
    operationId: 'readOpenApi',
    tag: 'Service',
    summary: 'Read this document',
    description:
      'OpenAPI 3.1, as JSON; a page of it is at `/docs/`. Answers 304 to an `If-None-Match` with its `ETag`.',
    replies: { 200: z.looseObject({ openapi: z.literal('3.1.0') }), 304: null, ...publicErrors },
    examples: { replies: { 200: { openapi: '3.1.0', info: { title: 'Handoff', version: '0.1.0' }, paths: {} } } },
  },
} satisfies Record<string, RouteContract>;
