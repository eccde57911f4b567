// A device is shown its code, and appears here by itself when it has come.
import { useRoute } from 'preact-iso';
import { useEffect } from 'preact/hooks';
import { useApi } from '../api/cache.ts';
import type { Device } from '../api/types.ts';
import { announce } from '../parts/announce.tsx';
import { Load } from '../parts/load.tsx';
import { Page } from '../parts/page.tsx';
import { Missing } from './missing.tsx';
import { PairCode } from './pair_code.tsx';
import { PairSteps } from './pair_steps.tsx';

function Body({ device }: { device: Device }) {
	const waits = device.state === 'waiting';
	useEffect(() => {
		if (device.state === 'online')
			announce(`${device.title} is online`);
	}, [device.state]);
	return (
		<div class={waits ? 'pair' : undefined}>
			{waits && <PairCode device={device} />}
			<PairSteps device={device} />
		</div>
	);
}

export function Pair() {
	const name = useRoute().params.name ?? '';
	const all = useApi('/devices');
	const device = all.data?.devices.find((one) => one.name === name);
	if (all.data && !device)
		return <Missing />;
	return (
		<Page title={device ? `Pair ${device.title}` : 'Pair a device'} wide
			back={{ href: `/devices/${name}`, text: device?.title ?? 'Device' }}>
			<Load of={all}>{() => device && <Body device={device} />}</Load>
		</Page>
	);
}
