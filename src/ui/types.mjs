// The API's types from its OpenAPI document: lanthornd --print-openapi | npm run -s types
// --check says by the exit code whether api/gen.ts is current, and writes nothing.
import fs from 'node:fs';
import path from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const file = path.join(here, 'api/gen.ts');
const api = JSON.parse(fs.readFileSync(0, 'utf8'));

// Failures look the same everywhere (api/client.ts reads them), so that the file needs them once.
for (const verbs of Object.values(api.paths)) {
	for (const operation of Object.values(verbs))
		delete operation.responses.default;
}
const text = '// Made by types.mjs from the OpenAPI document. Do not edit.\n' +
	astToString(await openapiTS(api))
		.replace(/^( {4})+/gm, (indent) => '\t'.repeat(indent.length / 4))
		.replace(/^\t*\w+\??: never;\n/gm, '') // what is not there needs no line
		.replace(/^\t*\/\*\* @description done \*\/\n/gm, '')
		.replace(/^\t*headers: \{\n\t*\[name: string\]: unknown;\n\t*\};\n/gm, '')
		.replace(/^\t*parameters: \{\n\t*\};\n/gm, '')
		.replace(/\{\n\t*content: \{\n\t*("application\/json": .*;)\n\t*\};\n\t*\};/g,
			'{ content: { $1 } };')
		.replace(/responses: \{\n\t*(.*)\n\t*\};/g, 'responses: { $1 };')
		.replace(/parameters: \{\n\t*path: \{\n((?:\t*\w+: string;\n)+)\t*\};\n\t*\};/g,
			(_, names) => `parameters: { path: { ${names.trim().replace(/\s+/g, ' ')} } };`)
		.replace(/^export type (webhooks|\$defs|operations) = .*\n/gm, '');

if (!process.argv.includes('--check')) {
	fs.writeFileSync(file, text);
} else if (text !== fs.readFileSync(file, 'utf8')) {
	console.error('src/ui/api/gen.ts is not what the API is: ' +
		'lanthornd --print-openapi | npm run -s types');
	process.exitCode = 1;
}
