// The API's types from its OpenAPI document: lanthornd --print-openapi | npm run -s types
// --check says by the exit code whether api/gen.ts is current, and writes nothing.
import fs from 'node:fs';
import path from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const file = path.join(here, 'api/gen.ts');
const head = '// Made by types.mjs from the OpenAPI document. Do not edit.\n';
const text = head + astToString(await openapiTS(JSON.parse(fs.readFileSync(0, 'utf8'))))
	.replace(/^( {4})+/gm, (indent) => '\t'.repeat(indent.length / 4))
	.replace(/^\t*\w+\?: never;\n/gm, '') // what is not there needs no line
	.replace(/^\t*headers: \{\n\t*\[name: string\]: unknown;\n\t*\};\n/gm, '')
	.replace(/^\t*parameters: \{\n\t*\};\n/gm, '')
	.replace(/^export type (webhooks|\$defs|operations) = .*\n/gm, '');
if (!process.argv.includes('--check')) {
	fs.writeFileSync(file, text);
} else if (text !== fs.readFileSync(file, 'utf8')) {
	console.error('src/ui/api/gen.ts is not what the API is: ' +
		'lanthornd --print-openapi | npm run -s types');
	process.exitCode = 1;
}
