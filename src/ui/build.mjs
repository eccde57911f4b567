// The bundle: index.html, app.js, app.css, pages.css and the icon, into the folder that OUT names.
import fs from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const out = path.resolve(process.env.OUT ?? path.join(here, 'dist'));
const shared = {
	absWorkingDir: here,
	outdir: out,
	bundle: true,
	minify: true,
	target: ['es2021', 'chrome90', 'firefox90', 'safari15'],
	legalComments: 'none',
	logLevel: 'warning',
};

await build({ ...shared, entryPoints: ['css/app.css', 'css/pages.css'] });
await build({ ...shared, entryPoints: { app: 'main.tsx' }, format: 'esm' });
for (const file of ['index.html', 'favicon.svg'])
	fs.copyFileSync(path.join(here, file), path.join(out, file));
