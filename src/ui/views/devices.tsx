// All devices of the home.
import { useApi } from '../api/cache.ts';
import type { Device } from '../api/types.ts';
import { deviceState } from '../lib/device_state.ts';
import { count, initial } from '../lib/words.ts';
import { Empty } from '../parts/empty.tsx';
import { Icon } from '../parts/icon.tsx';
import { Load } from '../parts/load.tsx';
import { Page } from '../parts/page.tsx';
import { State } from '../parts/state.tsx';

function Item({ device }: { device: Device }) {
	const said = deviceState(device);
	return (
		<li class={device.state === 'offline' ? 'away' : undefined}>
			<a class="item" href={`/devices/${device.name}`}>
				<span class="badge" aria-hidden="true">{initial(device.title)}</span>
				<span class="grow">
					<b>{device.title}</b>
					<span class="soft far">{device.host}</span>
					<span class="near"><State said={said} /></span>
				</span>
				<span class="far"><State said={said} /></span>
				<Icon name="next" />
			</a>
		</li>
	);
}

function summary(devices: readonly Device[]): string {
	const online = devices.filter((device) => device.state === 'online').length;
	return devices.length === 0 ? 'None yet.'
		: `${count(devices.length, 'device')}, ${online} online.`;
}

export function Devices() {
	const all = useApi('/devices');
	return (
		<Page title="Devices" lead={all.data ? summary(all.data.devices) : '\u00a0'}
			action={<a class="button" href="/add"><Icon name="plus" />Add a device</a>}>
			<Load of={all}>
				{({ devices }) => devices.length === 0 ? (
					<Empty icon="devices" title="No devices yet">
						<p class="soft">A device that is added gets a name of its own and a
							certificate that every browser trusts.</p>
					</Empty>
				) : (
					<ul class="list">
						{devices.map((device) => <Item key={device.name} device={device} />)}
					</ul>
				)}
			</Load>
		</Page>
	);
}
