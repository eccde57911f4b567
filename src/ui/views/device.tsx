// One device: how it stands, what it is called, who may open it, and its end.
import { useLocation, useRoute } from 'preact-iso';
import { useState } from 'preact/hooks';
import { refresh, useApi } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Device } from '../api/types.ts';
import { deviceState } from '../lib/device_state.ts';
import { forgetPairing } from '../lib/pairings.ts';
import { announce } from '../parts/announce.tsx';
import { CertificateCard } from '../parts/certificate_card.tsx';
import { Confirm } from '../parts/confirm.tsx';
import { Load } from '../parts/load.tsx';
import { Page } from '../parts/page.tsx';
import { State } from '../parts/state.tsx';
import { DeviceFacts } from './device_facts.tsx';
import { DevicePeople } from './device_people.tsx';
import { DeviceRename } from './device_rename.tsx';
import { Missing } from './missing.tsx';

function Removal({ device }: { device: Device }) {
	const [asked, setAsked] = useState(false);
	const { route } = useLocation();
	const remove = async () => {
		await call('delete', '/devices/{name}', { params: { name: device.name } });
		forgetPairing(device.name);
		announce(`${device.title} has been removed`);
		route('/devices');
		refresh();
	};
	return (
		<section class="card">
			<h2>Remove this device</h2>
			<p class="soft">Its connection ends at once. To come back it has to be added anew.</p>
			<div class="actions">
				<button class="plain bad" type="button" onClick={() => setAsked(true)}>
					Remove {device.title}
				</button>
			</div>
			{asked && (
				<Confirm title={`Remove ${device.title}?`} verb="Remove" work={remove}
					onClose={() => setAsked(false)}>
					<p>Nobody will be able to open it at {device.host} any more, and its identity
						never works again.</p>
				</Confirm>
			)}
		</section>
	);
}

function Body({ device }: { device: Device }) {
	const paired = device.kind === 'agent';
	return (
		<div class="stack">
			<DeviceFacts device={device} />
			{paired && <DeviceRename device={device} />}
			<DevicePeople device={device} />
			{device.certificate && (
				<CertificateCard it={device.certificate} title="Certificate" />
			)}
			{paired && <Removal device={device} />}
		</div>
	);
}

export function DeviceView() {
	const name = useRoute().params.name ?? '';
	const all = useApi('/devices');
	const device = all.data?.devices.find((one) => one.name === name);
	if (all.data && !device)
		return <Missing />;
	return (
		<Page title={device?.title ?? 'Device'} back={{ href: '/devices', text: 'Devices' }}
			lead={device && <State said={deviceState(device)} />}
			action={device && <a class="button" href={device.url}>Open</a>}>
			<Load of={all}>{() => device && <Body device={device} />}</Load>
		</Page>
	);
}
