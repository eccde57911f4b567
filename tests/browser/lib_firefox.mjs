// Firefox with the lab's authority in its store, driven by WebDriver BiDi. Its pages have what the
// tests use of Chromium's: goto, evaluate, close.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import WebSocket from 'ws';
import { check } from './lib.mjs';

// Nothing leaves the machine, and nothing asks on first use.
const PREFS = {
	'app.normandy.enabled': false,
	'app.update.disabledForTesting': true,
	'browser.safebrowsing.blockedURIs.enabled': false,
	'browser.safebrowsing.malware.enabled': false,
	'browser.safebrowsing.phishing.enabled': false,
	'browser.shell.checkDefaultBrowser': false,
	'browser.startup.homepage': 'about:blank',
	'datareporting.policy.dataSubmissionEnabled': false,
	'extensions.update.enabled': false,
	'network.captive-portal-service.enabled': false,
	'network.connectivity-service.enabled': false,
	'network.proxy.type': 0,
	'services.settings.server': 'data:,#remote-settings-dummy/v1',
	'toolkit.telemetry.enabled': false,
};
const START_MS = 60000;

function makeProfile(ca) {
	const home = fs.mkdtempSync(path.join(os.tmpdir(), 'lanthorn-firefox.'));
	fs.writeFileSync(path.join(home, 'user.js'), Object.entries(PREFS).map(([name, value]) =>
		`user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join(''));
	execFileSync('certutil', ['-d', `sql:${home}`, '-N', '--empty-password']);
	execFileSync('certutil', ['-d', `sql:${home}`, '-A', '-t', 'C,,', '-n', 'lab', '-i', ca]);
	return home;
}

async function addressOf(child) {
	const late = setTimeout(() => child.kill('SIGKILL'), START_MS);
	for await (const line of readline.createInterface({ input: child.stderr })) {
		const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line);
		if (found) {
			clearTimeout(late);
			child.stderr.resume();
			return found[1];
		}
	}
	throw new Error('Firefox did not come up');
}

// Commands and their answers; what Firefox tells unasked is not listened to.
function speak(socket) {
	const open = new Map();
	let last = 0;
	socket.on('message', (data) => {
		const said = JSON.parse(String(data));
		const waiting = open.get(said.id);
		open.delete(said.id);
		if (said.type === 'success')
			waiting?.resolve(said.result);
		else
			waiting?.reject(new Error(`${said.error}: ${said.message}`));
	});
	socket.on('close', () => open.forEach((waiting) =>
		waiting.reject(new Error('Firefox is gone'))));
	return (method, params) => new Promise((resolve, reject) => {
		open.set(++last, { resolve, reject });
		socket.send(JSON.stringify({ id: last, method, params }));
	});
}

function pageOf(command, context) {
	return {
		goto: (url) => command('browsingContext.navigate', { context, url, wait: 'complete' }),
		evaluate: async (fn, arg = null) => {
			const said = await command('script.callFunction', { awaitPromise: true,
				target: { context }, functionDeclaration: 'async (text) => ' +
					`JSON.stringify(await (${fn})(JSON.parse(text)) ?? null)`,
				arguments: [{ type: 'string', value: JSON.stringify(arg) }] });
			if (said.type !== 'success')
				throw new Error(said.exceptionDetails.text);
			return JSON.parse(said.result.value);
		},
		close: () => command('browsingContext.close', { context }),
	};
}

// Firefox that trusts the authority `ca` besides the public ones.
export async function startFirefox(ca) {
	const home = makeProfile(ca);
	const child = spawn('firefox-esr', ['--headless', '--no-remote', '--profile', home,
		'--remote-debugging-port', '0', 'about:blank'],
	{ stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: home } });
	const ended = new Promise((resolve) => child.on('exit', resolve));
	const socket = new WebSocket(await addressOf(child) + '/session', { perMessageDeflate: false });
	await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
	const command = speak(socket);
	const session = await command('session.new', { capabilities: {} });
	check(session.capabilities.acceptInsecureCerts === false, 'Firefox trusts anybody');
	return {
		newPage: async () => pageOf(command,
			(await command('browsingContext.create', { type: 'tab' })).context),
		close: async () => {
			await command('browser.close', {}).catch(() => child.kill());
			await ended;
			fs.rmSync(home, { recursive: true, force: true, maxRetries: 3 });
		},
	};
}
