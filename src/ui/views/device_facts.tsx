// What is known of a device's connection and of its name in DNS.
import type { Device } from '../api/types.ts';
import { day } from '../lib/time.ts';
import { count } from '../lib/words.ts';
import { Ago } from '../parts/ago.tsx';
import { Problem } from '../parts/problem.tsx';

function dnsWords(device: Device): string {
	if (!device.dns)
		return 'Not looked after';
	return device.dns.published ? 'Published' : 'Being published';
}

// "from 192.168.1.30, 1 link over HTTP/2"
function linkWords(device: Device): string {
	const links = `${count(device.links, 'link')} over HTTP/${device.protocol === 'h2' ? '2' : '1.1'}`;
	return device.peer ? `from ${device.peer}, ${links}` : links;
}

function Seen({ device }: { device: Device }) {
	if (device.kind === 'upstream')
		return (
			<>
				<dt>{device.state === 'offline' ? 'Not reached at' : 'Reached at'}</dt>
				<dd>{device.upstream}</dd>
				{device.fault && <><dt>Last try</dt><dd>{device.fault}</dd></>}
			</>
		);
	return (
		<>
			{device.online ? (
				<><dt>Connected</dt><dd>{linkWords(device)}</dd></>
			) : (
				<><dt>Last seen</dt><dd>{device.last_seen === null ? 'never'
					: <Ago at={device.last_seen} />}</dd></>
			)}
			{device.created !== null && <><dt>Added</dt><dd>{day(device.created)}</dd></>}
		</>
	);
}

export function DeviceFacts({ device }: { device: Device }) {
	const failure = device.dns?.failure;
	return (
		<section class="card" aria-label="Connection">
			<dl class="facts">
				<dt>Address</dt><dd><a href={device.url}>{device.host}</a></dd>
				<Seen device={device} />
				<dt>Name in DNS</dt><dd>{dnsWords(device)}</dd>
				{device.public && <><dt>Open to</dt><dd>everybody in the network</dd></>}
			</dl>
			{failure && <Problem failure={{ message: failure.text, remedy: failure.remedy }} />}
			{device.kind === 'upstream' ? (
				<p class="told">This device is defined in gateway.yaml and is changed there.</p>
			) : device.state !== 'online' && (
				<div class="actions">
					<a class="button plain" href={`/devices/${device.name}/pair`}>
						{device.state === 'waiting' ? 'Show the pairing code' : 'Pair it again'}
					</a>
				</div>
			)}
		</section>
	);
}
